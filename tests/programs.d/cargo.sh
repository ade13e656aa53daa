# title: Cargo, rustc
# group: Languages and their tools
# does: fetch, build of a crate with dependencies (build script, proc macro), incremental rebuild, test; its registry in the directory
# needs: cargo cc
# packages: gcc
# version: cargo --version
# network: yes
# limit: 900

work() {
    export CARGO_HOME=$PWD/home CARGO_INCREMENTAL=1 CARGO_NET_RETRY=5
    cargo new -q app --vcs none; cd app; printf '%s\n' 'libc = "0.2"' 'itoa = "1"' 'thiserror = "1"' >> Cargo.toml
    printf '%s\n' '#[derive(Debug, thiserror::Error)] #[error("e")] struct E;' 'fn main() { println!("{} {E}", itoa::Buffer::new().format(unsafe { libc::abs(-42) })); }' '#[test] fn t() { assert_eq!(1, 1) }' > src/main.rs
    cargo build -q; sed -i 's/-42/-43/' src/main.rs; cargo build -q; cargo test -q >/dev/null
}

check() {
    export CARGO_HOME=$PWD/home; cd app; target/debug/app; cargo build -q --offline 2>&1; target/debug/app; find target -name '*.rlib' | sed 's/-[0-9a-f]*\././' | sort
}
