//! What all programs for the kernel need when they are loaded.
use aya::Ebpf;

/// A map, taken out.
pub fn taken<T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    bpf: &mut Ebpf,
    name: &str,
) -> Result<T, String> {
    let map = bpf.take_map(name).ok_or("a map is missing")?;
    T::try_from(map).map_err(text)
}

/// An error as it says itself.
pub fn text<E: std::fmt::Display>(e: E) -> String {
    e.to_string()
}

/// Why the kernel refused.
pub fn refusal(e: &dyn std::error::Error) -> String {
    let mut causes = vec![e.to_string()];
    let mut at = e.source();
    while let Some(c) = at {
        causes.push(c.to_string());
        at = c.source();
    }
    if causes.iter().any(|c| c.contains("os error 1)")) {
        return "needs CAP_BPF and CAP_PERFMON: run as root".into();
    }
    let all = causes.join(": ");
    all.lines().next().unwrap_or_default().to_owned()
}
