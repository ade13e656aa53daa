# title: Node.js, npm
# group: Languages and their tools
# does: fs (streams, cp, rename, links, rm), worker threads; npm install of express and typescript, tsc, npm pack and ci
# needs: node npm
# packages: nodejs npm
# version: node --version
# network: yes
# limit: 600

work() {
    cat > job.js <<'JS'
const fs = require('fs'), { Worker } = require('worker_threads');
(async () => {
    fs.mkdirSync('a/b', { recursive: true });
    await Promise.all([...Array(60).keys()].map(i => fs.promises.writeFile(`a/f${i}`, `file ${i}\n`)));
    await fs.promises.cp('a', 'copy', { recursive: true }); await fs.promises.rename('a/f1', 'a/b/f1'); await fs.promises.rm('copy/b', { recursive: true });
    for (let i = 0; i < 20; i++) await fs.promises.appendFile('log', `entry ${i}\n`);
    await new Promise((ok, no) => fs.createReadStream(process.execPath, { end: 300000 }).pipe(fs.createWriteStream('stream')).on('finish', ok).on('error', no));
    fs.copyFileSync('stream', 'copied'); fs.truncateSync('copied', 1000); fs.symlinkSync('a', 'soft'); fs.linkSync('log', 'hard'); fs.utimesSync('copied', 1e9, 1e9);
    await new Promise(ok => new Worker("require('fs').writeFileSync('worker', 'from a thread')", { eval: true }).on('exit', ok));
})();
JS
    node job.js; rm -f stream.js
    mkdir app; cd app; echo '{"name": "app", "version": "1.0.0", "dependencies": {"express": "4.19.2"}, "devDependencies": {"typescript": "5.4.5"}}' > package.json
    npm install --silent --no-audit --no-fund --cache ../cache
    echo 'export const x: number = 42; console.log(x);' > x.ts; npx --no-install tsc --module commonjs x.ts
    npm pack --silent >/dev/null; npm ci --silent --no-audit --no-fund --cache ../cache; npm uninstall --silent --no-audit --no-fund typescript
}

check() {
    sums a; sums copy; sha256sum log copied stream worker; readlink soft; stat -c %h hard
    cd app; node x.js; node -e 'require("express"); console.log(Object.keys(require("./package-lock.json").packages).length)'; npm ls --silent --all; sums node_modules | sha256sum
}
