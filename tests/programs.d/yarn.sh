# title: Yarn
# group: Languages and their tools
# does: yarn install with its cache in the directory, add, remove
# needs: node yarn
# packages: nodejs
# npm: yarn
# version: yarn --version
# network: yes
# limit: 600

work() {
    mkdir app; cd app; echo '{"name": "app", "version": "1.0.0", "license": "MIT", "dependencies": {"express": "4.19.2"}}' > package.json
    yarn install --silent --non-interactive --cache-folder ../cache; yarn add --silent --non-interactive --cache-folder ../cache ms@2.1.3; yarn remove --silent --non-interactive --cache-folder ../cache ms
}

check() {
    cd app; node -e 'require("express"); console.log("loaded")'; yarn check --silent --integrity && echo whole; sums node_modules | grep -v yarn-integrity | sha256sum; cat yarn.lock
}
