//! The checker's types, and the compact form in which libraries declare them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::value::Value;

/// The static type of an expression.
#[derive(Clone, Debug)]
pub enum Type {
    /// Known only at run time; agrees with every type.
    Dyn,
    /// The type of what has been reported already; agrees with every type.
    Error,
    /// The type of `null`.
    Null,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Duration`.
    Duration,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// A scalar type or null.
    Nullable(Arc<Type>),
    /// A list of elements of one type.
    List(Arc<Type>),
    /// A map from keys of one type to values of one type.
    Map(Arc<(Type, Type)>),
    /// The type of a type; of which one, if that is known.
    Type(Option<Arc<Type>>),
    /// A type of a library, such as `optional_type(string)`.
    Opaque(&'static str, Arc<[Type]>),
    /// An object with declared fields.
    Object(Arc<ObjectType>),
    /// A type that is still to be found out.
    Variable(u32),
}

/// An object type: its name and its fields. Two of the same name are the same type.
#[derive(Debug)]
pub struct ObjectType {
    name: Arc<str>,
    fields: BTreeMap<Box<str>, Type>,
    /// What its values are where it is used as a map; `None` if it cannot be.
    entries: Option<Type>,
}

impl ObjectType {
    /// An object type of a name with these fields.
    #[must_use]
    pub fn new<'f>(name: &str, fields: impl IntoIterator<Item = (&'f str, Type)>) -> Arc<Self> {
        let fields = fields.into_iter().map(|(field, kind)| (field.into(), kind)).collect();
        Arc::new(Self { name: name.into(), fields, entries: None })
    }

    /// An object type that is a map from strings to `entries` as well: its fields can be selected by name, which
    /// has to be one of them, and it can be indexed and iterated over.
    #[must_use]
    pub fn map_like<'f>(
        name: &str,
        fields: impl IntoIterator<Item = (&'f str, Type)>,
        entries: Type,
    ) -> Arc<Self> {
        let fields = fields.into_iter().map(|(field, kind)| (field.into(), kind)).collect();
        Arc::new(Self { name: name.into(), fields, entries: Some(entries) })
    }

    /// The type of its values, if it is a map as well.
    pub(crate) fn entries(&self) -> Option<&Type> {
        self.entries.as_ref()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Type> {
        self.fields.get(name)
    }

    /// The names of its fields.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(|name| &**name)
    }
}

/// The name of the type of optionals.
pub(crate) const OPTIONAL: &str = "optional_type";

impl Type {
    /// A list of an element type.
    #[must_use]
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// A map of a key and a value type.
    #[must_use]
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    /// An optional of a type.
    #[must_use]
    pub fn optional(value: Type) -> Self {
        Self::Opaque(OPTIONAL, Arc::new([value]))
    }

    /// The type of a type.
    #[must_use]
    pub fn type_of(named: Type) -> Self {
        Self::Type(Some(Arc::new(named)))
    }

    /// What an optional is of.
    pub(crate) fn unwrap_optional(&self) -> Option<&Type> {
        match self {
            Self::Opaque(OPTIONAL, parameters) => parameters.first(),
            _ => None,
        }
    }

    pub(crate) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn)
    }

    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// Whether two types are the same; with `variables` false, any two variables are.
    pub(crate) fn same(&self, other: &Type, variables: bool) -> bool {
        match (self, other) {
            (Self::Variable(one), Self::Variable(two)) => !variables || one == two,
            (Self::List(one), Self::List(two)) => one.same(two, variables),
            (Self::Map(one), Self::Map(two)) => {
                one.0.same(&two.0, variables) && one.1.same(&two.1, variables)
            }
            (Self::Type(Some(one)), Self::Type(Some(two))) => one.same(two, variables),
            (Self::Type(None), Self::Type(None)) => true,
            // cel-go compares kinds and names, and a nullable type has those of the plain one.
            (Self::Nullable(one), other) | (other, Self::Nullable(one)) => match other {
                Self::Nullable(two) => one.same(two, variables),
                other => one.same(other, variables),
            },
            (Self::Opaque(one, of_one), Self::Opaque(two, of_two)) => {
                one == two
                    && of_one.len() == of_two.len()
                    && of_one.iter().zip(of_two.iter()).all(|(one, two)| one.same(two, variables))
            }
            (Self::Object(one), Self::Object(two)) => one.name == two.name,
            (one, two) => std::mem::discriminant(one) == std::mem::discriminant(two) && one.is_plain(),
        }
    }

    /// Whether it has no parameters and no name.
    fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Dyn
                | Self::Error
                | Self::Null
                | Self::Bool
                | Self::Int
                | Self::Uint
                | Self::Double
                | Self::String
                | Self::Bytes
                | Self::Duration
                | Self::Timestamp
        )
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        self.same(other, true)
    }
}

impl fmt::Display for Type {
    /// As cel-go writes types in its messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Error => f.write_str("!error!"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Nullable(plain) => write!(f, "wrapper({plain})"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(map) => write!(f, "map({}, {})", map.0, map.1),
            Self::Type(None) => f.write_str("type"),
            Self::Type(Some(named)) => write!(f, "type({named})"),
            Self::Opaque(name, parameters) if parameters.is_empty() => f.write_str(name),
            Self::Opaque(name, parameters) => {
                let parameters: Vec<String> = parameters.iter().map(Type::to_string).collect();
                write!(f, "{name}({})", parameters.join(", "))
            }
            Self::Object(object) => f.write_str(&object.name),
            Self::Variable(number) => write!(f, "_var{number}"),
        }
    }
}

/// A type as a library declares it, in constants.
#[derive(Clone, Copy, Debug)]
pub enum Ty {
    /// Any type.
    Dyn,
    /// `null`.
    Null,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// A duration.
    Duration,
    /// A timestamp.
    Timestamp,
    /// The first type parameter of an overload.
    A,
    /// Its second type parameter.
    B,
    /// Its third type parameter.
    C,
    /// A list.
    List(&'static Ty),
    /// A map.
    Map(&'static Ty, &'static Ty),
    /// An optional.
    Optional(&'static Ty),
    /// The type of a type.
    TypeOf(&'static Ty),
    /// A library's own type, with its parameters.
    Opaque(&'static str, &'static [Ty]),
}

impl Ty {
    /// Whether a value may be an argument of this type. Of a list or a map, cel-go looks at the first element
    /// alone; what an optional or a library's type is of does not matter.
    pub(crate) fn accepts(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Dyn | Self::A | Self::B | Self::C, _) => true,
            (Self::List(of), Value::List(_) | Value::JsonList(_)) => {
                value.element(0).is_none_or(|first| of.accepts(&first))
            }
            (Self::Map(key, of), Value::Map(_) | Value::JsonMap(_)) => value
                .children()
                .next()
                .is_none_or(|(name, first)| key.accepts(&name.to_value()) && of.accepts(&first)),
            (Self::Null, Value::Null)
            | (Self::Bool, Value::Bool(_))
            | (Self::Int, Value::Int(_))
            | (Self::Uint, Value::Uint(_))
            | (Self::Double, Value::Double(_))
            | (Self::String, Value::Text(_))
            | (Self::Bytes, Value::Bytes(_))
            | (Self::Duration, Value::Duration(_))
            | (Self::Timestamp, Value::Timestamp(_))
            | (Self::TypeOf(_), Value::Type(_))
            | (Self::Optional(_), Value::Optional(_)) => true,
            (Self::Opaque(name, _), Value::Opaque(value)) => *name == value.type_name(),
            _ => false,
        }
    }

    /// The declared type as the checker's, with its parameters replaced.
    pub(crate) fn instantiate(&self, parameters: &[Type; 3]) -> Type {
        match self {
            Self::Dyn => Type::Dyn,
            Self::Null => Type::Null,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Uint => Type::Uint,
            Self::Double => Type::Double,
            Self::String => Type::String,
            Self::Bytes => Type::Bytes,
            Self::Duration => Type::Duration,
            Self::Timestamp => Type::Timestamp,
            Self::A => parameters[0].clone(),
            Self::B => parameters[1].clone(),
            Self::C => parameters[2].clone(),
            Self::List(element) => Type::list(element.instantiate(parameters)),
            Self::Map(key, value) => Type::map(key.instantiate(parameters), value.instantiate(parameters)),
            Self::Optional(value) => Type::optional(value.instantiate(parameters)),
            Self::TypeOf(named) => Type::type_of(named.instantiate(parameters)),
            Self::Opaque(name, of) => {
                Type::Opaque(name, of.iter().map(|of| of.instantiate(parameters)).collect())
            }
        }
    }
}
