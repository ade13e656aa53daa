# title: Deno
# group: Languages and their tools
# does: file functions, its cache in the directory
# needs: deno
# npm: deno
# version: deno --version

work() {
    cat > job.ts <<'TS'
await Deno.mkdir("a/b", { recursive: true });
for (let i = 0; i < 40; i++) await Deno.writeTextFile(`a/f${i}`, `file ${i}\n`);
await Deno.rename("a/f1", "a/b/f1"); await Deno.copyFile("a/f2", "a/b/f2"); await Deno.remove("a/f3"); await Deno.symlink("a", "soft"); await Deno.link("a/f4", "hard");
for (let i = 0; i < 20; i++) Deno.writeTextFileSync("log", `entry ${i}\n`, { append: true });
const f = await Deno.open("a/f5", { read: true, write: true }); await f.seek(2, Deno.SeekMode.Start); await f.write(new TextEncoder().encode("XYZ")); await f.truncate(6); f.close();
await Deno.chmod("a/f6", 0o600); await Deno.utime("a/f7", 1e9, 1e9); const t = await Deno.makeTempFile({ dir: "." }); await Deno.rename(t, "named");
TS
    DENO_DIR=$PWD/cache DENO_NO_UPDATE_CHECK=1 deno run -q -A job.ts
}

check() {
    sums a; cat log named; readlink soft; stat -c %h hard
}
