//! `quantity()` and the methods of quantities, after apiserver's `pkg/cel/library/quantity.go` and
//! `pkg/cel/quantity.go`.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};

use super::super::cost::Cost;
use super::super::failure::Failure;
use super::super::registry::{Function, Invocation, Overload};
use super::super::types::Ty;
use super::super::value::{Opaque, Value};
use super::Library;
use super::amount::{Amount, AmountError};
use super::args::{own, same, text};

/// The name of the type.
const QUANTITY: &str = "kubernetes.Quantity";

const TYPE: Ty = Ty::Opaque(QUANTITY, &[]);

pub(super) static LIBRARY: Library = Library::of(FUNCTIONS);

static FUNCTIONS: &[Function] = &[
    Function {
        name: "quantity",
        overloads: &[
            Overload::function("string_to_quantity", &[Ty::String], TYPE, quantity).named_cost(Cost::FIRST)
        ],
    },
    Function {
        name: "isQuantity",
        overloads: &[Overload::function("is_quantity_string", &[Ty::String], Ty::Bool, |_, args| {
            Ok(Value::Bool(parse(text(args, 0)?)?.is_ok()))
        })
        .named_cost(Cost::FIRST)],
    },
    // The one function here that is not a method, other than apiserver's documentation has it.
    Function {
        name: "sign",
        overloads: &[Overload::function("quantity_sign", &[TYPE], Ty::Int, |_, args| {
            Ok(Value::Int(own::<Quantity>(args, 0)?.amount.sign()))
        })],
    },
    Function {
        name: "isGreaterThan",
        overloads: &[Overload::method("quantity_is_greater_than", &[TYPE, TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(compare(args)?.is_gt()))
        })],
    },
    Function {
        name: "isLessThan",
        overloads: &[Overload::method("quantity_is_less_than", &[TYPE, TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(compare(args)?.is_lt()))
        })],
    },
    Function {
        name: "compareTo",
        overloads: &[Overload::method("quantity_compare_to", &[TYPE, TYPE], Ty::Int, |_, args| {
            Ok(Value::Int(compare(args)? as i64))
        })],
    },
    Function {
        name: "asApproximateFloat",
        overloads: &[Overload::method("quantity_get_float", &[TYPE], Ty::Double, |_, args| {
            Ok(Value::Double(own::<Quantity>(args, 0)?.amount.as_float()))
        })],
    },
    Function {
        name: "asInteger",
        overloads: &[Overload::method("quantity_get_int", &[TYPE], Ty::Int, |_, args| {
            let integer = own::<Quantity>(args, 0)?.current().as_int();
            integer.map(Value::Int).ok_or_else(|| Failure::new("cannot convert value to integer"))
        })],
    },
    Function {
        name: "isInteger",
        overloads: &[Overload::method("quantity_is_integer", &[TYPE], Ty::Bool, |_, args| {
            Ok(Value::Bool(own::<Quantity>(args, 0)?.current().as_int().is_some()))
        })],
    },
    Function {
        name: "add",
        overloads: &[
            Overload::method("quantity_add", &[TYPE, TYPE], TYPE, |call, args| {
                combine(call, args, &own::<Quantity>(args, 1)?.current(), Amount::add)
            }),
            Overload::method("quantity_add_int", &[TYPE, Ty::Int], TYPE, |call, args| {
                combine(call, args, &integer(args)?, Amount::add)
            }),
        ],
    },
    Function {
        name: "sub",
        overloads: &[
            Overload::method("quantity_sub", &[TYPE, TYPE], TYPE, |call, args| {
                combine(call, args, &own::<Quantity>(args, 1)?.current(), Amount::sub)
            }),
            Overload::method("quantity_sub_int", &[TYPE, Ty::Int], TYPE, |call, args| {
                combine(call, args, &integer(args)?, Amount::sub)
            }),
        ],
    },
];

/// A quantity as apiserver keeps it, with what that does to it.
#[derive(Debug)]
struct Quantity {
    amount: Amount,
    /// Whether it was computed: apiserver then holds it by a pointer, which nothing equals.
    computed: bool,
    /// Whether it was compared with a large quantity, after which apiserver takes it for one itself.
    promoted: AtomicBool,
}

impl Quantity {
    fn new(amount: Amount, computed: bool) -> Self {
        Self { amount, computed, promoted: AtomicBool::new(false) }
    }

    /// The amount as it is by now.
    fn current(&self) -> Amount {
        if self.promoted.load(atomic::Ordering::Relaxed) {
            self.amount.promoted()
        } else {
            self.amount.clone()
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.amount.fmt(f)
    }
}

impl Opaque for Quantity {
    fn type_name(&self) -> &'static str {
        QUANTITY
    }

    fn equals(&self, other: &dyn Opaque) -> Option<bool> {
        let other = same::<Self>(other).filter(|other| !other.computed)?;
        Some(self.amount.compare(&other.amount).is_eq())
    }

    fn equality_is_nominal(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Reads a quantity; its being too long to calculate with is a failure even for `isQuantity`.
fn parse(text: &str) -> Result<Result<Amount, AmountError>, Box<Failure>> {
    match Amount::parse(text) {
        Err(AmountError::TooLong) => Err(Failure::new(AmountError::TooLong.to_string())),
        read => Ok(read),
    }
}

fn quantity<'a>(call: &Invocation<'_>, args: &[Value<'a>]) -> Result<Value<'a>, Box<Failure>> {
    let text = text(args, 0)?;
    call.meter.allocate(size_of::<Quantity>() + text.len())?;
    let amount = parse(text)?.map_err(|error| Failure::new(error.to_string()))?;
    Ok(Value::Opaque(Arc::new(Quantity::new(amount, false))))
}

fn compare(args: &[Value<'_>]) -> Result<Ordering, Box<Failure>> {
    let (one, other) = (own::<Quantity>(args, 0)?, own::<Quantity>(args, 1)?);
    if other.current().is_large() {
        one.promoted.store(true, atomic::Ordering::Relaxed);
    }
    Ok(one.amount.compare(&other.amount))
}

fn integer(args: &[Value<'_>]) -> Result<Amount, Box<Failure>> {
    match args.get(1) {
        Some(Value::Int(number)) => Ok(Amount::from_int(*number)),
        _ => Err(Failure::no_such_overload()),
    }
}

fn combine<'a>(
    call: &Invocation<'_>,
    args: &[Value<'a>],
    other: &Amount,
    combine: fn(&Amount, &Amount) -> Result<Amount, AmountError>,
) -> Result<Value<'a>, Box<Failure>> {
    let sum = combine(&own::<Quantity>(args, 0)?.current(), other);
    let sum = sum.map_err(|error| Failure::new(error.to_string()))?;
    call.meter.allocate(size_of::<Quantity>() + sum.size())?;
    Ok(Value::Opaque(Arc::new(Quantity::new(sum, true))))
}
