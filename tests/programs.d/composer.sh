# title: Composer
# group: Languages and their tools
# does: a project with a package from a local path, install, dump-autoload, remove
# needs: php composer
# packages: composer
# version: COMPOSER_ALLOW_SUPERUSER=1 composer --version

work() {
    export COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_HOME=$PWD/home COMPOSER_DISABLE_NETWORK=1
    mkdir -p lib/src app/src; printf "%s\n" '{"name": "a/lib", "version": "1.0.0", "autoload": {"psr-4": {"Lib\\": "src/"}}}' > lib/composer.json
    echo '<?php namespace Lib; class One { static function say() { return "one"; } }' > lib/src/One.php
    cd app; echo '{"name": "a/app", "repositories": [{"type": "path", "url": "../lib", "options": {"symlink": false}}, {"packagist.org": false}], "require": {"a/lib": "*"}}' > composer.json
    composer install -q -n; composer dump-autoload -q -o; cp -r . ../before; composer remove -q -n a/lib; composer require -q -n 'a/lib:1.0.0'
}

check() {
    cd app; php -r 'require "vendor/autoload.php"; echo Lib\One::say(), "\n";'; COMPOSER_ALLOW_SUPERUSER=1 composer validate -q && echo valid; find . ../before -type f | LC_ALL=C sort
}
