//! Whose a post is, by the locks alone.
use mirror_core::runtime::RuntimeFile;
use mirror_core::{Errno, Leg, LegLock, LockMiss, StateWord, View, WHOLE};
use mirror_pair::posts::crashed;

struct Locks<'a> {
    answer: Result<(), LockMiss>,
    /// What happens when the lock is had.
    then: Box<dyn Fn() + 'a>,
    held: i32,
    asked: u32,
}

impl LegLock for Locks<'_> {
    fn try_lock(&mut self, leg: Leg, _: usize) -> Result<(), LockMiss> {
        assert_eq!(leg, Leg::A);
        self.asked += 1;
        if self.answer.is_ok() {
            (self.then)();
            self.held += 1;
        }
        self.answer
    }
    fn unlock(&mut self, _: Leg, _: usize) {
        self.held -= 1;
    }
}

#[test]
fn only_what_stays_occupied_under_its_lock_is_a_crashed_ones() {
    let file: Box<RuntimeFile> = blank();
    let rt = View::Own(&file);
    let ask = |answer, then: &dyn Fn(), object| {
        let mut l = Locks {
            answer,
            then: Box::new(then),
            held: 0,
            asked: 0,
        };
        let found = crashed(&mut l, rt, object);
        assert_eq!(l.held, 0, "a lock was kept");
        (found, l.asked)
    };
    let post = |n: u32| {
        file.posts[3]
            .state
            .store(n, std::sync::atomic::Ordering::SeqCst)
    };
    let nothing = || {};
    let had = Ok(());
    assert_eq!(
        ask(had, &nothing, 3),
        (false, 0),
        "free: no lock is asked for"
    );
    post(4);
    assert_eq!(ask(had, &nothing, 3), (true, 1));
    assert_eq!(ask(Err(LockMiss::Busy(3)), &nothing, 3), (false, 1));
    assert_eq!(
        ask(Err(LockMiss::Failed(Errno::EIO)), &nothing, 3),
        (false, 1)
    );
    assert_eq!(
        ask(had, &|| post(0), 3),
        (false, 1),
        "it has left in between"
    );
    rt.set_bits(StateWord::EXCLUSIVE);
    assert_eq!(ask(had, &nothing, WHOLE), (true, 1));
    assert_eq!(ask(had, &nothing, 3), (false, 0));
    assert_eq!(
        ask(had, &|| rt.clear_bits(StateWord::EXCLUSIVE), WHOLE),
        (false, 1)
    );
}

/// A runtime file of zeros, as the kernel gives it.
fn blank() -> Box<RuntimeFile> {
    let layout = std::alloc::Layout::new::<RuntimeFile>();
    // SAFETY: plain atomics, of which all zeros is a value; the layout is RuntimeFile's.
    unsafe {
        let p = std::alloc::alloc_zeroed(layout).cast::<RuntimeFile>();
        assert!(!p.is_null());
        Box::from_raw(p)
    }
}
