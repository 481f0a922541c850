//! One arena of limited size that sessions take their memory from, by the C API of ONNX Runtime: `ort`
//! does not wrap the call that registers one.

use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ort::AsPointer;
use ort::environment::Environment;

/// While this lives, sessions that are opened take their memory from one arena of limited size. They
/// keep it.
pub struct Arena<'a> {
    environment: &'a Environment,
    info: *mut ort::sys::OrtMemoryInfo,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Arena<'a> {
    pub fn register(environment: &'a Environment, memory: u64) -> ort::Result<Self> {
        use ort::sys::{OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault};
        // One arena a process can be registered.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut info, mut config) = (null_mut(), null_mut());
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        let api = ort::api();
        // SAFETY: the API's own functions, with pointers that it has made; what they make is released,
        // the memory info when the arena is no longer registered.
        unsafe {
            ort::Error::result_from_status((api.CreateCpuMemoryInfo)(OrtArenaAllocator, OrtMemTypeDefault, &mut info))?;
            let arena = Self { environment, info, _alone: alone };
            // As much at a time as is asked for, the rest by default.
            ort::Error::result_from_status((api.CreateArenaCfg)(memory, 1, -1, -1, &mut config))?;
            let status = (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), info, config);
            (api.ReleaseArenaCfg)(config);
            ort::Error::result_from_status(status)?;
            Ok(arena)
        }
    }
}

impl Drop for Arena<'_> {
    fn drop(&mut self) {
        let api = ort::api();
        // SAFETY: the environment and the memory info are alive, and both functions are the API's own.
        unsafe {
            // Fails if it was not registered.
            let _ =
                ort::Error::result_from_status((api.UnregisterAllocator)(self.environment.ptr().cast_mut(), self.info));
            (api.ReleaseMemoryInfo)(self.info);
        }
    }
}
