# title: Ruby
# group: Languages and their tools
# does: FileUtils, PStore, Tempfile, gem build and install, File.flock
# needs: ruby
# packages: ruby
# version: ruby --version

work() {
    tree 40
    ruby -rfileutils -rpstore -rtempfile -e '
        FileUtils.cp_r "d1", "copy"; FileUtils.mv "d2", "moved"; FileUtils.rm_rf "d3"; FileUtils.install "d0/f1", "installed", mode: 0640; FileUtils.ln_s "moved", "soft"
        store = PStore.new("store"); 20.times { |i| store.transaction { store[i] = "v" * i } }
        t = Tempfile.new("x", "."); t.write "temporary"; t.close; File.rename t.path, "named"
        30.times { |i| File.open("log", "a") { |f| f.flock File::LOCK_EX; f.puts i } }
        File.open("d0/f2", "r+") { |f| f.seek 3; f.write "abc"; f.truncate 8 }; IO.copy_stream "d0/f3", "streamed"'
    mkdir -p g/lib; echo 'module Packed; V = 1; end' > g/lib/packed.rb
    printf 'Gem::Specification.new { |s| s.name = "packed"; s.version = "1.0"; s.summary = "s"; s.authors = ["a"]; s.files = ["lib/packed.rb"] }\n' > g/packed.gemspec
    (cd g && gem build -q packed.gemspec >/dev/null 2>&1); gem install -q --local --no-document -i gems g/packed-1.0.gem >/dev/null
}

check() {
    ruby -rpstore -e 's = PStore.new("store"); s.transaction(true) { p s.roots.size, s[19] }'
    GEM_PATH=$PWD/gems ruby -e 'require "packed"; p Packed::V'; sums copy; sums moved; sums d0; sha256sum log named streamed installed; readlink soft
}
