//! The operators' overloads, but for comparisons.

use super::super::cost::Cost;
use super::super::registry::{Function, Overload};
use super::super::types::Ty;
use super::{arithmetic, collections, planned};

const LIST: Ty = Ty::List(&Ty::A);
const MAP: Ty = Ty::Map(&Ty::A, &Ty::B);

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "_?_:_",
        overloads: &[Overload::function("conditional", &[Ty::Bool, Ty::A, Ty::A], Ty::A, planned)],
    },
    Function {
        name: "!_",
        overloads: &[Overload::function("logical_not", &[Ty::Bool], Ty::Bool, arithmetic::not)],
    },
    Function {
        name: "-_",
        overloads: &[
            Overload::function("negate_double", &[Ty::Double], Ty::Double, arithmetic::negate),
            Overload::function("negate_int64", &[Ty::Int], Ty::Int, arithmetic::negate),
        ],
    },
    Function {
        name: "_+_",
        overloads: &[
            Overload::function("add_bytes", &[Ty::Bytes, Ty::Bytes], Ty::Bytes, arithmetic::add)
                .costs(Cost::BOTH),
            Overload::function("add_double", &[Ty::Double, Ty::Double], Ty::Double, arithmetic::add),
            Overload::function(
                "add_duration_duration",
                &[Ty::Duration, Ty::Duration],
                Ty::Duration,
                arithmetic::add,
            ),
            Overload::function(
                "add_duration_timestamp",
                &[Ty::Duration, Ty::Timestamp],
                Ty::Timestamp,
                arithmetic::add,
            ),
            Overload::function(
                "add_timestamp_duration",
                &[Ty::Timestamp, Ty::Duration],
                Ty::Timestamp,
                arithmetic::add,
            ),
            Overload::function("add_int64", &[Ty::Int, Ty::Int], Ty::Int, arithmetic::add),
            Overload::function("add_list", &[LIST, LIST], LIST, arithmetic::add),
            Overload::function("add_string", &[Ty::String, Ty::String], Ty::String, arithmetic::add)
                .costs(Cost::BOTH),
            Overload::function("add_uint64", &[Ty::Uint, Ty::Uint], Ty::Uint, arithmetic::add),
        ],
    },
    Function {
        name: "_-_",
        overloads: &[
            Overload::function(
                "subtract_double",
                &[Ty::Double, Ty::Double],
                Ty::Double,
                arithmetic::subtract,
            ),
            Overload::function(
                "subtract_duration_duration",
                &[Ty::Duration, Ty::Duration],
                Ty::Duration,
                arithmetic::subtract,
            ),
            Overload::function("subtract_int64", &[Ty::Int, Ty::Int], Ty::Int, arithmetic::subtract),
            Overload::function(
                "subtract_timestamp_duration",
                &[Ty::Timestamp, Ty::Duration],
                Ty::Timestamp,
                arithmetic::subtract,
            ),
            Overload::function(
                "subtract_timestamp_timestamp",
                &[Ty::Timestamp, Ty::Timestamp],
                Ty::Duration,
                arithmetic::subtract,
            ),
            Overload::function("subtract_uint64", &[Ty::Uint, Ty::Uint], Ty::Uint, arithmetic::subtract),
        ],
    },
    Function {
        name: "_*_",
        overloads: &[
            Overload::function(
                "multiply_double",
                &[Ty::Double, Ty::Double],
                Ty::Double,
                arithmetic::multiply,
            ),
            Overload::function("multiply_int64", &[Ty::Int, Ty::Int], Ty::Int, arithmetic::multiply),
            Overload::function("multiply_uint64", &[Ty::Uint, Ty::Uint], Ty::Uint, arithmetic::multiply),
        ],
    },
    Function {
        name: "_/_",
        overloads: &[
            Overload::function("divide_double", &[Ty::Double, Ty::Double], Ty::Double, arithmetic::divide),
            Overload::function("divide_int64", &[Ty::Int, Ty::Int], Ty::Int, arithmetic::divide),
            Overload::function("divide_uint64", &[Ty::Uint, Ty::Uint], Ty::Uint, arithmetic::divide),
        ],
    },
    Function {
        name: "_%_",
        overloads: &[
            Overload::function("modulo_int64", &[Ty::Int, Ty::Int], Ty::Int, arithmetic::modulo),
            Overload::function("modulo_uint64", &[Ty::Uint, Ty::Uint], Ty::Uint, arithmetic::modulo),
        ],
    },
    Function {
        name: "_[_]",
        overloads: &[
            Overload::function("index_list", &[LIST, Ty::Int], Ty::A, planned),
            Overload::function("index_map", &[MAP, Ty::A], Ty::B, planned),
            Overload::function(
                "optional_list_index_int",
                &[Ty::Optional(&LIST), Ty::Int],
                Ty::Optional(&Ty::A),
                planned,
            ),
            Overload::function(
                "optional_map_index_value",
                &[Ty::Optional(&MAP), Ty::A],
                Ty::Optional(&Ty::B),
                planned,
            ),
        ],
    },
    Function {
        name: "_[?_]",
        overloads: &[
            Overload::function("list_optindex_optional_int", &[LIST, Ty::Int], Ty::Optional(&Ty::A), planned),
            Overload::function(
                "optional_list_optindex_optional_int",
                &[Ty::Optional(&LIST), Ty::Int],
                Ty::Optional(&Ty::A),
                planned,
            ),
            Overload::function("map_optindex_optional_value", &[MAP, Ty::A], Ty::Optional(&Ty::B), planned),
            Overload::function(
                "optional_map_optindex_optional_value",
                &[Ty::Optional(&MAP), Ty::A],
                Ty::Optional(&Ty::B),
                planned,
            ),
        ],
    },
    Function {
        name: "@in",
        overloads: &[
            Overload::function("in_list", &[Ty::A, LIST], Ty::Bool, collections::within)
                .costs(Cost::CONTAINMENT),
            Overload::function("in_map", &[Ty::A, MAP], Ty::Bool, collections::within),
        ],
    },
];
