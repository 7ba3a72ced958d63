//! The attribute `portcullis_sdk::policy`, which makes a function the policy of a module.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, LitByteStr, LitStr, ReturnType, Safety, Token, bracketed};

/// What a policy can name in `wasm.reads`.
const READS: [&str; 7] =
    ["oldObject", "operation", "subResource", "userInfo", "options", "dryRun", "namespaceObject"];

/// Makes a function the policy of its module: `fn validate(request: Request<Settings>) -> Verdict`, or with a
/// `Result<Verdict, E>`, whose error is told as the policy's.
///
/// `#[policy(reads = ["userInfo"], lookups = ["services"])]` says what the function cannot do without, in the words of the
/// policy's ConfigMap: the module is refused where `wasm.reads` or `lookups` do not name it, and not when it is asked about a
/// request. It stands in a section of the module with the package's name, and `portcullis wrap` begins a ConfigMap with it.
///
/// The function stays as it is, so that tests can call it. For wasm32 it is exported as the ABI has it; there is one in a
/// module. The exports need unsafe code: a crate may deny it, and not forbid it.
#[proc_macro_attribute]
pub fn policy(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand(arguments.into(), function.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

fn expand(arguments: Tokens, function: Tokens) -> Result<Tokens, Error> {
    let needs: Needs = syn::parse2(arguments)?;
    let section = LitByteStr::new(needs.section().as_bytes(), proc_macro2::Span::call_site());
    let length = section.value().len();
    let function: ItemFn = syn::parse2(function)?;
    check(&function)?;
    let name = &function.sig.ident;
    // What is generated is there where the function is.
    let conditions: Vec<_> =
        function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    // Where a type is wrong, the function's own line is shown.
    let typed = quote_spanned! { function.sig.span() =>
        #(#conditions)*
        const _: () = {
            let _ = || ::portcullis_sdk::guest::is_policy(#name);
        };
    };
    Ok(quote! {
        #function
        #typed
        #(#conditions)*
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the ABI asks for exports by name")]
        const _: () = {
            use ::portcullis_sdk::guest;

            #[used]
            #[unsafe(link_section = "portcullis_policy")]
            static PORTCULLIS_POLICY: [u8; #length] = *#section;

            // The names here are ours, so that none is the function's.
            #[unsafe(no_mangle)]
            extern "C" fn portcullis_abi_v1() {}

            #[unsafe(no_mangle)]
            extern "C" fn portcullis_init() {
                guest::init();
            }

            #[unsafe(no_mangle)]
            extern "C" fn portcullis_alloc(size: usize) -> *mut u8 {
                guest::allocate(size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn portcullis_validate(
                portcullis_request: *const u8,
                portcullis_request_length: usize,
                portcullis_settings: *const u8,
                portcullis_settings_length: usize,
            ) -> u64 {
                // SAFETY: both are where `portcullis_alloc` said and as long, written by the host.
                unsafe {
                    guest::validate(
                        #name,
                        guest::text(portcullis_request, portcullis_request_length),
                        guest::text(portcullis_settings, portcullis_settings_length),
                    )
                }
            }

            #[unsafe(no_mangle)]
            extern "C" fn portcullis_validate_settings(
                portcullis_settings: *const u8,
                portcullis_settings_length: usize,
            ) -> u64 {
                // SAFETY: as above.
                unsafe {
                    guest::validate_settings(#name, guest::text(portcullis_settings, portcullis_settings_length))
                }
            }
        };
    })
}

/// What a policy says that it cannot do without.
#[derive(Default)]
struct Needs {
    reads: Vec<LitStr>,
    lookups: Vec<LitStr>,
}

impl Parse for Needs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut needs = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let list;
            bracketed!(list in input);
            let list: Vec<LitStr> =
                Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect();
            match name.to_string().as_str() {
                "reads" => {
                    if let Some(unknown) = list.iter().find(|read| !READS.contains(&read.value().as_str())) {
                        let message = format!("`wasm.reads` names one of {}", READS.join(", "));
                        return Err(Error::new(unknown.span(), message));
                    }
                    needs.reads = list;
                }
                "lookups" => needs.lookups = list,
                _ => {
                    return Err(Error::new(
                        name.span(),
                        "`policy` takes `reads = [\"…\"]` and `lookups = [\"…\"]`",
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(needs)
    }
}

impl Needs {
    /// What stands in the module's section, as JSON.
    fn section(&self) -> String {
        let list =
            |names: &[LitStr]| names.iter().map(|name| quoted(&name.value())).collect::<Vec<_>>().join(",");
        let name = quoted(&std::env::var("CARGO_PKG_NAME").unwrap_or_default());
        format!(
            "{{\"abi\":1,\"name\":{name},\"reads\":[{}],\"lookups\":[{}]}}",
            list(&self.reads),
            list(&self.lookups)
        )
    }
}

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// Says what is wrong with a signature in words of its own: what the compiler would say is about what is generated.
fn check(function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    let refuse = |place: &dyn Spanned, message: &str| Err(Error::new(place.span(), message));
    if let Some(keyword) = &signature.asyncness {
        return refuse(&keyword, "a policy cannot be `async`: there is nothing to wait for");
    }
    if let Safety::Unsafe(keyword) = &signature.safety {
        return refuse(&keyword, "a policy cannot be `unsafe`");
    }
    let name = signature.ident.to_string();
    if name == "guest" || name.starts_with("portcullis_") {
        return refuse(&signature.ident, "this name is taken by what is generated");
    }
    if !signature.generics.params.is_empty() {
        return refuse(&signature.generics, "a policy cannot be generic: name the type of its settings");
    }
    let mut inputs = signature.inputs.iter();
    match (inputs.next(), inputs.next()) {
        (Some(FnArg::Typed(_)), None) => {}
        (Some(FnArg::Receiver(receiver)), _) => {
            return refuse(receiver, "a policy is a function, not a method");
        }
        (Some(_), Some(second)) => {
            return refuse(second, "a policy takes one argument: its settings are `request.settings`");
        }
        (None, _) => {
            return refuse(&signature.ident, "a policy takes one argument: `request: Request<Settings>`");
        }
    }
    match &signature.output {
        ReturnType::Type(..) => Ok(()),
        ReturnType::Default => {
            refuse(&signature.ident, "a policy returns a `Verdict`, or a `Result` with one")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: Tokens, function: Tokens) -> String {
        expand(arguments, function).map_or_else(|error| error.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn a_wrong_signature_is_told_in_words() {
        let check = |function: Tokens, expected: &str| assert_eq!(refusal(Tokens::new(), function), expected);
        check(
            quote!(
                fn validate(request: Request<Settings>) -> Verdict {}
            ),
            "none",
        );
        check(
            quote!(
                pub(crate) fn other(request: Request) -> Result<Verdict, Error> {}
            ),
            "none",
        );
        check(
            quote!(
                fn portcullis_validate(request: Request) -> Verdict {}
            ),
            "this name is taken by what is generated",
        );
        check(
            quote!(
                fn f() -> Verdict {}
            ),
            "a policy takes one argument: `request: Request<Settings>`",
        );
        check(
            quote!(
                fn f(request: Request, settings: Settings) -> Verdict {}
            ),
            "a policy takes one argument: its settings are `request.settings`",
        );
        check(
            quote!(
                fn f(self) -> Verdict {}
            ),
            "a policy is a function, not a method",
        );
        check(
            quote!(
                fn f(request: Request) {}
            ),
            "a policy returns a `Verdict`, or a `Result` with one",
        );
        check(
            quote!(
                async fn f(request: Request) -> Verdict {}
            ),
            "a policy cannot be `async`: there is nothing to wait for",
        );
        check(
            quote!(
                unsafe fn f(request: Request) -> Verdict {}
            ),
            "a policy cannot be `unsafe`",
        );
        check(
            quote!(
                fn f<S>(request: Request<S>) -> Verdict {}
            ),
            "a policy cannot be generic: name the type of its settings",
        );
        check(
            quote!(
                struct S;
            ),
            "expected `fn`",
        );
    }

    #[test]
    fn what_a_policy_needs_is_in_a_section_of_the_module() {
        let function = || {
            quote!(
                fn f(request: Request) -> Verdict {}
            )
        };
        let told = |arguments: Tokens| refusal(arguments, function());
        assert_eq!(told(quote!(name = ["a"])), "`policy` takes `reads = [\"…\"]` and `lookups = [\"…\"]`");
        assert!(told(quote!(reads = ["user"])).starts_with("`wasm.reads` names one of oldObject, "));
        assert_eq!(told(quote!(reads = "user")), "expected square brackets");
        let needs: Needs = syn::parse_quote!(lookups = ["a", "b\"\\"], reads = ["userInfo"],);
        let expected =
            r#"{"abi":1,"name":"portcullis-sdk-macros","reads":["userInfo"],"lookups":["a","b\"\\"]}"#;
        assert_eq!(needs.section(), expected);
        let expanded = expand(quote!(lookups = ["a"]), function()).unwrap().to_string();
        assert!(expanded.contains("portcullis_policy") && expanded.contains("lookups"), "{expanded}");
    }

    #[test]
    fn every_export_of_the_abi_is_there() {
        let expanded = expand(
            Tokens::new(),
            quote!(
                fn f(request: Request) -> Verdict {}
            ),
        )
        .unwrap()
        .to_string();
        for name in ["abi_v1", "init", "alloc", "validate", "validate_settings"] {
            assert!(expanded.contains(&format!("fn portcullis_{name} (")), "{name}: {expanded}");
        }
    }
}
