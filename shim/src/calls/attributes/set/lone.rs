//! An attribute of leg a alone: leg b is away.
use crate::calls::attributes::set::{Attr, Kind};
use crate::change::lone::{self, Shown};
use crate::change::target::Cx;
use mirror_core::{BothLocked, Lone};
use mirror_sys::Object;

impl Attr<'_> {
    /// By its descriptor, if that is the one that the program names; else by the object of the name, or of the
    /// descriptor that a path of /proc has led to.
    pub(super) fn on_a_alone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        let Some((n, _)) = self.by_fd else {
            return lone::first(self, cx, held);
        };
        let shown = match Shown::object(n, cx, held) {
            Ok(shown) => shown,
            Err(lone) => return lone,
        };
        if self.call.path == 0 {
            return shown.call(self.regs);
        }
        let done = Object::of(n).and_then(|o| match self.call.kind {
            Kind::Times => self.first_times(&o, held),
            kind => self.on_object(kind, &o, held),
        });
        Lone::Done(done.map(|v| v as u64))
    }
}
