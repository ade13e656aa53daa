# title: Bun
# group: Languages and their tools
# does: file functions, bundling
# needs: bun
# npm: bun
# also: MIRROR_NET=always
# version: bun --version
# note: it makes its system calls with an instruction of its own.

work() {
    cat > job.js <<'JS'
const fs = require("fs");
fs.mkdirSync("a/b", { recursive: true });
for (let i = 0; i < 40; i++) fs.writeFileSync(`a/f${i}`, `file ${i}\n`);
fs.renameSync("a/f1", "a/b/f1"); fs.copyFileSync("a/f2", "a/b/f2"); fs.rmSync("a/f3"); fs.symlinkSync("a", "soft"); for (let i = 0; i < 20; i++) fs.appendFileSync("log", `entry ${i}\n`);
await Bun.write("written", "by Bun"); const w = Bun.file("streamed").writer(); w.write("x".repeat(100000)); await w.end();
JS
    bun run job.js; mkdir out; bun build job.js --target bun --outdir out >/dev/null
}

check() {
    sums a; sums out; cat log written; wc -c streamed; readlink soft
}
