//! Link options of libmirror.so.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // No start files: their only effect here would be references to libc.
    println!("cargo:rustc-cdylib-link-arg=-nostartfiles");
    // What boot runs stands together, behind the headers that ld.so reads.
    println!("cargo:rerun-if-changed=boot.ld");
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says it");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{here}/boot.ld");
    // What ld.so and boot write is one page.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,norelro");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,separate-loadable-segments");
    // One mapping less at every program start.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--no-rosegment");
}
