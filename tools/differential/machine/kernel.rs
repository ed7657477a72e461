// SPDX-License-Identifier: GPL-2.0

//! The kernel crate, as far as early boot needs it. The modules that the series adds are the very
//! files; what they find in the kernel is written down here as little as will do.

#![allow(missing_docs, reason = "the kernel has the documentation")]

extern crate self as kernel;

include!(env!("KERNEL_MODULES"));

const __LOG_PREFIX: &[u8] = b"rust_kernel\0";

#[allow(
    clippy::all,
    dead_code,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals
)]
#[allow(
    improper_ctypes,
    unsafe_op_in_unsafe_fn,
    unnecessary_transmutes,
    unpredictable_function_pointer_comparisons
)]
pub mod bindings {
    use crate::ffi;

    include!(env!("KERNEL_BINDINGS"));
}

/// The types of C as the kernel has them: char is unsigned, long is as large as a pointer.
#[allow(non_camel_case_types)]
pub mod ffi {
    pub use core::ffi::{
        c_int, c_longlong, c_schar, c_short, c_uchar, c_uint, c_ulonglong, c_ushort, c_void,
    };

    pub type c_char = u8;
    pub type c_long = isize;
    pub type c_ulong = usize;
}

pub mod fmt {
    pub use core::fmt::*;
}

pub mod page {
    pub const PAGE_SIZE: usize = super::bindings::MACHINE_PAGE_SIZE as usize;
}

pub mod types {
    /// A value of it stays where it was made.
    pub type NotThreadSafe = core::marker::PhantomData<*mut ()>;

    #[allow(non_upper_case_globals)]
    pub const NotThreadSafe: NotThreadSafe = core::marker::PhantomData;
}

pub mod error {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Error(pub i32);

    pub mod code {
        pub const ENOSPC: super::Error = super::Error(-28);
    }

    pub type Result<T = (), E = Error> = core::result::Result<T, E>;

    pub fn to_result(status: i32) -> Result {
        if status < 0 {
            Err(Error(status))
        } else {
            Ok(())
        }
    }
}

pub mod str {
    pub trait CStrExt {
        fn as_char_ptr(&self) -> *const super::ffi::c_char;
    }

    impl CStrExt for core::ffi::CStr {
        fn as_char_ptr(&self) -> *const super::ffi::c_char {
            self.as_ptr().cast()
        }
    }
}

pub mod print {
    use super::{bindings, fmt, str::CStrExt};
    use std::ffi::{CStr, CString};

    /// Prints a line to the kernel's log.
    pub fn call_printk(prefix: &[u8], args: fmt::Arguments<'_>) {
        let prefix = CStr::from_bytes_with_nul(prefix).expect("a prefix ends with NUL");
        let line = CString::new(args.to_string()).expect("a line of the log has no NUL");
        // SAFETY: The format takes two strings, and gets them.
        unsafe { bindings::_printk(c"%s: %s".as_char_ptr(), prefix.as_char_ptr(), line.as_ptr()) };
    }

    #[macro_export]
    macro_rules! pr_info (
        ($($arg:tt)*) => { $crate::print::call_printk(crate::__LOG_PREFIX, format_args!($($arg)*)) }
    );
    #[macro_export]
    macro_rules! pr_warn (
        ($($arg:tt)*) => { $crate::print::call_printk(crate::__LOG_PREFIX, format_args!($($arg)*)) }
    );
    #[macro_export]
    macro_rules! pr_err (
        ($($arg:tt)*) => { $crate::print::call_printk(crate::__LOG_PREFIX, format_args!($($arg)*)) }
    );
}

pub mod prelude {
    pub use super::{
        error::{code::*, Result},
        ffi::{c_char, c_int, c_long, c_uint, c_ulong},
        pr_err, pr_info, pr_warn,
        str::CStrExt,
    };
    pub use core::ffi::CStr;
    pub use macros::export;
}
