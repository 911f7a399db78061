//! The host's thread pool, as the library calls it.
//!
//! SPDX-License-Identifier: MIT
use sinkattn_sys as sys;
use std::any::Any;
use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The host's thread pool. With rayon:
///
/// ```ignore
/// impl sinkattn::Executor for rayon::ThreadPool {
///     fn run(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
///         self.scope(|s| (0..n).for_each(|i| s.spawn(move |_| task(i))));
///     }
/// }
/// ```
pub trait Executor: Send + Sync {
    /// Calls `task(i)` for each i in `0..n`, in any order, on any threads. (What it leaves out, the library's caller does
    /// itself; what it does twice, is done once.) It must not use the cache or pool that it works for: that would wait
    /// for ever.
    fn run(&self, n: usize, task: &(dyn Fn(usize) + Sync));
}

/// Tasks that a call may have: as many as workers, which are 1024 at most.
const MOST: usize = 1024;

/// An executor at work, and the panic that came out of it.
pub(crate) struct Running {
    executor: Arc<dyn Executor>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Running {
    pub(crate) fn new(executor: Arc<dyn Executor>) -> Box<Running> {
        Box::new(Running { executor, panic: Mutex::new(None) })
    }

    /// What the config has: the returned pointers are good as long as `self` stays.
    pub(crate) fn native(&self) -> (sys::sa_parallel_for, *mut c_void) {
        (Some(parallel_for), std::ptr::from_ref(self).cast_mut().cast())
    }

    /// Goes on with a panic of the executor, now that the library has returned.
    pub(crate) fn rethrow(&self) {
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
    }
}

/// For a check of a config, which runs nothing.
pub(crate) fn stand_in() -> (sys::sa_parallel_for, *mut c_void) {
    (Some(parallel_for), std::ptr::null_mut())
}

/// A task of the library, which any thread may run once for each index.
struct Tasks {
    task: sys::sa_task,
    context: *mut c_void,
    n: usize,
    taken: [AtomicU64; MOST / 64],
}

// SAFETY: the library lets any thread run any index, and `run` runs each only once.
unsafe impl Sync for Tasks {}

impl Tasks {
    fn run(&self, i: usize) {
        if i >= self.n || i >= MOST {
            return;
        }
        let bit = 1 << (i % 64);
        if self.taken[i / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            // SAFETY: the library waits in `parallel_for` until all have returned, so its context is there.
            unsafe { (self.task)(self.context, i as i32) };
        }
    }
}

/// # Safety
/// Called by the library, with the context that `native` gave it.
unsafe extern "C" fn parallel_for(context: *mut c_void, n_tasks: i32, task: sys::sa_task, task_context: *mut c_void) {
    // SAFETY: `context` is a `Running` that lives as long as the cache, and is only ever shared.
    let running = unsafe { &*context.cast::<Running>() };
    let n = usize::try_from(n_tasks).unwrap_or(0);
    let tasks = Tasks { task, context: task_context, n, taken: std::array::from_fn(|_| AtomicU64::new(0)) };
    let ended = catch_unwind(AssertUnwindSafe(|| running.executor.run(n, &|i| tasks.run(i))));
    // The closure is borrowed, so no thread has it any more; what was not begun is done here.
    (0..n).for_each(|i| tasks.run(i));
    if let Err(panic) = ended {
        *running.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
    }
}
