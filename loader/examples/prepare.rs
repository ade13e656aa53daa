//! Prepares the images of the given C libraries, or of this system's: `prepare [--list] [libc.so.6]...`
use mirror_loader::image;

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let listed = args.iter().any(|a| a == "--list");
    args.retain(|a| a != "--list");
    let libcs = if args.is_empty() {
        image::default_libcs()
    } else {
        args.into_iter().map(Into::into).collect()
    };
    let mut failed = false;
    for libc in libcs {
        match image::prepare_for(&libc) {
            Ok(p) => {
                println!(
                    "{}: {} of {} wanted sites patched ({} in all) -> {}",
                    libc.display(),
                    p.patched,
                    p.wanted,
                    p.sites,
                    p.path.display()
                );
                for s in p
                    .unpatched
                    .iter()
                    .chain(p.patched_sites.iter().filter(|_| listed))
                {
                    println!("  {s}");
                }
                println!("  {:?}", image::check(&libc));
            }
            Err(e) => {
                println!("{}: {e}", libc.display());
                failed = true;
            }
        }
    }
    std::process::exit(i32::from(failed));
}
