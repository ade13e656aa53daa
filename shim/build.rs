//! Link options of libmirror.so.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // No start files: their only effect here would be references to libc.
    println!("cargo:rustc-cdylib-link-arg=-nostartfiles");
    // One mapping less at every program start.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--no-rosegment");
}
