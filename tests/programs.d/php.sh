# title: PHP
# group: Languages and their tools
# does: files and streams, phar, sessions, ZipArchive
# needs: php
# packages: php-cli php-zip
# version: php --version

work() {
    mkdir sessions
    cat > job.php <<'PHP'
<?php
mkdir('a/b', 0755, true);
for ($i = 0; $i < 50; $i++) { file_put_contents("a/f$i", "file $i\n"); file_put_contents('log', "entry $i\n", FILE_APPEND | LOCK_EX); }
rename('a/f1', 'a/b/f1'); copy('a/f2', 'a/b/f2'); unlink('a/f3'); symlink('a', 'soft'); link('a/f4', 'hard'); touch('a/f5', 1000000000); chmod('a/f6', 0600);
$f = fopen('a/f7', 'r+'); fseek($f, 2); fwrite($f, 'XYZ'); ftruncate($f, 6); fclose($f); stream_copy_to_stream(fopen('a/f8', 'r'), fopen('streamed', 'w'));
$p = new Phar('lib.phar'); $p->addFromString('x.php', '<?php return 42;'); $p->setStub($p->createDefaultStub('x.php')); unset($p);
$z = new ZipArchive; $z->open('z.zip', ZipArchive::CREATE); foreach (glob('a/f1?') as $n) $z->addFile($n); $z->close(); $z->open('z.zip'); $z->deleteName('a/f10'); $z->close();
session_save_path('sessions'); session_id('abc'); session_start(); $_SESSION['n'] = 1; session_write_close(); session_start(); $_SESSION['n']++; session_write_close();
$t = tempnam('.', 'tmp'); file_put_contents($t, 'temporary'); rename($t, 'named');
PHP
    php -d phar.readonly=0 job.php
}

check() {
    php -r 'echo (include "phar://lib.phar/x.php"), "\n"; $z = new ZipArchive; $z->open("z.zip", ZipArchive::RDONLY); echo $z->numFiles, $z->getFromName("a/f11");'
    sums a; cat log named streamed sessions/*; stat -c '%h %n' hard; readlink soft
}
