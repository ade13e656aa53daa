# title: pnpm
# group: Languages and their tools
# does: pnpm install with its store in the directory (hard links and symlinks), add, remove
# needs: node pnpm
# packages: nodejs
# npm: pnpm@9
# version: pnpm --version
# network: yes
# limit: 600

work() {
    mkdir app; cd app; echo '{"name": "app", "version": "1.0.0", "dependencies": {"express": "4.19.2"}}' > package.json
    o="--silent --store-dir $PWD/../store"; pnpm install $o; pnpm add $o ms@2.1.3; pnpm remove $o ms
}

check() {
    cd app; node -e 'require("express"); console.log("loaded")'; pnpm ls --depth 3 | grep -v "$PWD"; cat pnpm-lock.yaml; (cd node_modules && find . -type l | LC_ALL=C sort); sums node_modules/.pnpm | grep package.json | sha256sum
}
