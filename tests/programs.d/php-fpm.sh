# title: PHP-FPM behind nginx
# group: Servers
# does: uploads, sessions, appends under a lock and renames by several workers, reload, graceful stop
# users: root www-data
# needs: /usr/sbin/php-fpm8.2 nginx curl
# packages: php8.2-fpm nginx-light curl
# version: php-fpm8.2 -v

work() {
    mkdir root up sessions logs tmp
    cat > root/x.php <<'PHP'
<?php
ini_set('session.save_path', $_SERVER['V'] . '/sessions'); session_id('s' . ($_GET['n'] % 3)); session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; session_write_close();
$to = $_SERVER['V'] . '/up/' . $_GET['n'];
if (isset($_FILES['f'])) { move_uploaded_file($_FILES['f']['tmp_name'], "$to.part"); rename("$to.part", $to); }
file_put_contents($_SERVER['V'] . '/log', "entry\n", FILE_APPEND | LOCK_EX); echo "done\n";
PHP
    cat > "$S/fpm" <<CONF
[global]
pid = $S/fpm.pid
error_log = $PWD/logs/fpm.log
[www]
listen = $S/fpm.sock
pm = static
pm.max_children = 3
pm.max_requests = 7
$([ "$(id -u)" = 0 ] && printf 'user = root\ngroup = root\n')
php_admin_value[upload_tmp_dir] = $PWD/tmp
access.log = $PWD/logs/access.log
CONF
    cat > "$S/conf" <<CONF
$([ "$(id -u)" = 0 ] && echo "user root;")
pid $S/pid; error_log $PWD/logs/error.log; worker_processes 2;
events { worker_connections 64; }
http {
    access_log off; client_body_temp_path $PWD/tmp/body; proxy_temp_path $S/p; fastcgi_temp_path $S/f; uwsgi_temp_path $S/u; scgi_temp_path $S/g;
    server { listen unix:$S/sock; client_max_body_size 20m; client_body_buffer_size 8k; location / { fastcgi_pass unix:$S/fpm.sock; include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $PWD/root/x.php; fastcgi_param V $PWD; } }
}
CONF
    php-fpm8.2 -y "$S/fpm" -R -D; nginx -c "$S/conf" -e "$S/early"; until_ok test -S "$S/fpm.sock"
    seq 30000 > "$S/large"; ask() { curl -sS -f --unix-socket "$S/sock" -F "f=@$S/large" "http://localhost/?n=$1" >/dev/null; }
    for i in $(seq 20); do ask "$i"; done; kill -USR2 "$(cat "$S/fpm.pid")"; until_ok ask 21
    seq 22 40 | xargs -P 4 -I{} curl -sS -f --unix-socket "$S/sock" -F "f=@$S/large" 'http://localhost/?n={}' >/dev/null
    for p in pid fpm.pid; do pid=$(cat "$S/$p"); kill -QUIT "$pid"; until_gone "$pid"; done
}

check() {
    sums up; n=$(grep -c entry log); [ "$n" -ge 40 ] && echo entries; cat sessions/* | grep -c 'n|i'; find tmp -type f; grep -c ' 200' logs/access.log | sed 's/[45].$/many/'
}
