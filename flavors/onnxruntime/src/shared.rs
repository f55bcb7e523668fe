//! A session of ONNX Runtime that several threads run at the same time: [`SharedSession`].
//!
//! ONNX Runtime's `Run` may be called concurrently on one session as long as the CPU's provider
//! executes it (C API, `OrtApi::Run`); its binding for Rust takes `&mut` because other providers do
//! not keep that promise. A session holds the weights, so one for all workers holds them once. With
//! an accelerator each worker has a session of its own.

use std::ffi::{CString, NulError};
use std::ptr::{self, NonNull};

use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::DynValue;
use ort::{AsPointer, Error};

/// A loaded session, and the names that each run asks for.
pub(crate) struct SharedSession {
    session: Session,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

impl SharedSession {
    pub fn new(session: Session) -> ort::Result<Self> {
        let names = |outlets: &[ort::value::Outlet]| {
            let names = outlets.iter().map(|outlet| CString::new(outlet.name()));
            names
                .collect::<Result<Vec<_>, NulError>>()
                .map_err(|_| Error::new("the name of an input or an output holds a NUL character"))
        };
        Ok(Self {
            inputs: names(session.inputs())?,
            outputs: names(session.outputs())?,
            session,
        })
    }

    /// Runs the model on inputs in their declared order; the outputs come in theirs.
    pub fn run(
        &self,
        options: &RunOptions,
        inputs: &[SessionInputValue<'static>],
    ) -> ort::Result<Vec<DynValue>> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::new("the model has another number of inputs"));
        }
        let input_names: Vec<_> = self.inputs.iter().map(|name| name.as_ptr()).collect();
        let output_names: Vec<_> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        let values: Vec<_> = inputs.iter().map(|value| value.ptr()).collect();
        let mut found = vec![ptr::null_mut(); output_names.len()];
        // SAFETY: the session, its options and the values outlive the call. Each array has as many
        // elements as its length says; the names are those of the session and end with NUL. The
        // outputs are null, so the engine allocates them. `Run` may be called concurrently, see above.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                options.ptr(),
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                found.as_mut_ptr(),
            )
        };
        // SAFETY: the status comes from the call above and is read once.
        unsafe { Error::result_from_status(status) }?;
        let allocator = self.session.allocator();
        // Each is owned before one that is missing is an error, so that none leaks.
        let values: Vec<Option<DynValue>> = found
            .into_iter()
            .map(|value| {
                // SAFETY: the engine made the value for us, with the allocator of its session, and
                // nobody else owns it.
                NonNull::new(value)
                    .map(|value| unsafe { DynValue::from_ptr(value, Some(allocator)) })
            })
            .collect();
        values
            .into_iter()
            .map(|value| value.ok_or_else(|| Error::new("the engine left out an output")))
            .collect()
    }
}
