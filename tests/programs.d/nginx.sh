# title: nginx
# group: Servers
# does: WebDAV PUT, MKCOL, COPY, MOVE, DELETE, temporary files, access log, reopening of logs after a rotation, reload
# users: root www-data
# needs: nginx curl
# packages: nginx-full curl
# version: nginx -v

work() {
    mkdir root tmp logs
    cat > "$S/conf" <<CONF
$([ "$(id -u)" = 0 ] && echo "user root;")
pid $S/pid; error_log $PWD/logs/error.log; worker_processes 2;
events { worker_connections 64; }
http {
    access_log $PWD/logs/access.log; client_body_temp_path $PWD/tmp/body; proxy_temp_path $S/p; fastcgi_temp_path $S/f; uwsgi_temp_path $S/u; scgi_temp_path $S/g;
    server { listen unix:$S/sock; root $PWD/root; client_max_body_size 20m; client_body_buffer_size 8k;
        location / { dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; } }
}
CONF
    nginx -c "$S/conf" -e "$S/early"; c="curl -sS -f --unix-socket $S/sock"; u=http://localhost
    seq 30000 > "$S/large"
    for i in $(seq 20); do $c -T "$S/large" $u/up/f$i; done; $c -X MKCOL $u/made/
    $c -X COPY -H "Destination: $u/made/copy" $u/up/f1; $c -X MOVE -H "Destination: $u/made/moved" $u/up/f2; $c -X DELETE $u/up/f3
    mv logs/access.log logs/access.log.1; kill -USR1 "$(cat "$S/pid")"; until_ok test -e logs/access.log
    kill -HUP "$(cat "$S/pid")"; until_ok $c $u/up/f5; $c -X DELETE $u/up/f4; pid=$(cat "$S/pid"); kill -QUIT "$pid"; until_gone "$pid"
}

check() {
    sums root; cat logs/access.log* | grep -c 'PUT\|COPY\|MOVE\|DELETE\|MKCOL'; find tmp -type f
}
