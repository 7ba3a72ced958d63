//! Which fields of a Secret hold values that must not be told.

use portcullis_cel::{Extent, Projection};

/// The fields of a Secret that hold values.
const VALUES: [&str; 2] = ["data", "stringData"];

/// Whether somebody who reads this of a Secret reads any value that must not be told; keys may be.
pub(crate) fn reads_values(secret: &Projection) -> bool {
    let is_read = |name: &str| match secret.field(name) {
        Some(values) => {
            values.extent() > Extent::Type || values.fields().any(|(_, value)| !value.is_presence())
        }
        None => false,
    };
    let annotations = secret.at(&["metadata", "annotations"]);
    VALUES.into_iter().any(is_read)
        || annotations.is_some_and(|annotations| {
            let beyond_presence =
                |value: Option<&Projection>| value.is_some_and(|value| !value.is_presence());
            beyond_presence(annotations.element())
                || annotations.fields().any(|(key, value)| repeats_the_object(key) && !value.is_presence())
        })
}

/// Whether an annotation holds the whole object as somebody last applied it: kubectl's
/// `last-applied-configuration`, the like of other tools, and kapp's `original`.
pub(crate) fn repeats_the_object(key: &str) -> bool {
    key.contains("last-applied") || key == "kapp.k14s.io/original"
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_cel::{Environment, Program, Type};

    fn read_by(source: &str) -> Projection {
        let environment = Environment::new().with_variable("object", Type::Dyn);
        let program = Program::compile(&environment, source).unwrap();
        program.footprint().of("object").unwrap().clone()
    }

    #[test]
    fn only_who_reads_values_needs_a_mask() {
        for (source, expected) in [
            ("object", true),
            ("object.data", true),
            ("object.data.p", true),
            ("object.data['p'] == ''", true),
            ("object.stringData.exists(k, v, v == '')", true),
            ("object.metadata", true),
            ("object.metadata.annotations", true),
            ("object.metadata.annotations['kapp.k14s.io/original']", true),
            ("object.metadata.annotations[object.type]", true),
            ("object.metadata.annotations.note", false),
            ("has(object.data.p)", false),
            ("has(object.stringData)", false),
            ("object.metadata.name + object.type", false),
        ] {
            assert_eq!(reads_values(&read_by(source)), expected, "{source}");
        }
    }
}
