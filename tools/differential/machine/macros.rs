// SPDX-License-Identifier: GPL-2.0

//! The attribute macro of the kernel's `macros` crate that its early boot code uses.

extern crate proc_macro;

use proc_macro::{TokenStream, TokenTree};

/// Exports a function to C, and checks its type against the prototype that C has.
#[proc_macro_attribute]
pub fn export(_: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens = function.clone().into_iter();
    let is_fn =
        |token: &TokenTree| matches!(token, TokenTree::Ident(name) if name.to_string() == "fn");
    tokens.find(is_fn).expect("#[export] is for functions");
    let name = tokens.next().expect("a function has a name");
    let check =
        format!("const _: () = {{ if true {{ ::kernel::bindings::{name} }} else {{ {name} }}; }};");
    let mut exported: TokenStream = check.parse().expect("that is an item");
    exported.extend("#[no_mangle]".parse::<TokenStream>());
    exported.extend(function);
    exported
}
