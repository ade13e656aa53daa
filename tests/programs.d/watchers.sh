# title: inotify-tools, entr, rrdtool
# group: Shells around programs
# does: watch the directory while files change and run a command on each; a round-robin database
# needs: inotifywait entr rrdtool
# packages: inotify-tools entr rrdtool
# version: rrdtool --version

work() {
    tree 20; inotifywait -q -m -e create,close_write,moved_to,delete --format '%e %f' d1 > events 2>/dev/null & w=$!
    until_ok grep -qs 'inotify wd' /proc/$w/fdinfo/*; echo new > d1/new; mv d1/new d1/moved; rm d1/f10; until_ok grep -q 'DELETE f10' events; kill $w; wait $w 2>/dev/null || :
    ls d0/f1 | entr -n -z -p sh -c 'cp d0/f1 seen' & e=$!; until_ok grep -qs 'inotify wd' /proc/$e/fdinfo/*; echo changed >> d0/f1; wait $e || :
    rrdtool create r.rrd --start 1000000000 --step 60 DS:x:GAUGE:120:U:U RRA:AVERAGE:0.5:1:100; for i in $(seq 50); do rrdtool update r.rrd $((1000000000 + i * 60)):$i; done; rrdtool tune r.rrd -h x:300; rrdtool dump r.rrd r.xml; rrdtool restore r.xml r2.rrd
}

check() {
    cat events seen; rrdtool fetch r2.rrd AVERAGE -s 1000000000 -e 1000001200 | sha256sum
}
