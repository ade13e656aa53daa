# title: Apache httpd
# group: Servers
# does: WebDAV PUT, MKCOL, COPY, MOVE, DELETE with its lock database, rotatelogs, graceful restart
# users: root www-data
# needs: apache2 curl
# packages: apache2 curl
# version: apache2 -v

work() {
    mkdir root logs; m=/usr/lib/apache2/modules
    cat > "$S/conf" <<CONF
ServerRoot $S
ServerName localhost
PidFile $S/pid
Listen 127.0.0.1:$PORT
DefaultRuntimeDir $S
Mutex flock:$S default
$(for l in mpm_event authz_core dav dav_fs dir; do echo "LoadModule ${l}_module $m/mod_$l.so"; done)
$([ "$(id -u)" = 0 ] && echo "User www-data
Group www-data")
ErrorLog $S/error
LogFormat "%m %U %>s" short
CustomLog "|/usr/bin/rotatelogs -n 3 $PWD/logs/access 1K" short
DavLockDB $PWD/lockdb
DocumentRoot $PWD/root
<Directory $PWD/root>
Dav on
</Directory>
CONF
    [ "$(id -u)" != 0 ] || chown www-data:www-data . root
    apache2 -f "$S/conf"; c="curl -sS -f -o /dev/null"; u=http://127.0.0.1:$PORT; until_ok curl -sS "$u"; seq 30000 > "$S/large"
    for i in $(seq 15); do $c -T "$S/large" $u/f$i; done; $c -X MKCOL $u/made/
    $c -X COPY -H "Destination: $u/made/copy" $u/f1; $c -X MOVE -H "Destination: $u/made/moved" $u/f2; $c -X DELETE $u/f3
    $c -X PROPPATCH --data '<?xml version="1.0"?><D:propertyupdate xmlns:D="DAV:" xmlns:e="e:"><D:set><D:prop><e:k>v</e:k></D:prop></D:set></D:propertyupdate>' $u/f4
    kill -USR1 "$(cat "$S/pid")"; $c -T "$S/large" $u/late; pid=$(cat "$S/pid"); kill "$pid"; until_gone "$pid"
}

check() {
    (cd root && find . -type f ! -path '*/.DAV/*' -print0 | sort -z | xargs -0 sha256sum; find . | sort); cat logs/* | grep -c 'PUT\|MKCOL\|COPY\|MOVE'
}
