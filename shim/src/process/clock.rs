//! The processor's clock.

/// The processor's clock.
pub fn cycles() -> u64 {
    // SAFETY: reads the time stamp counter; x86-64 always has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
