//! The options as a JSON Schema, for editors.

use serde_json::{Map, Value as Json, json};

use crate::kind::{Field, Kind};
use crate::options;
use crate::table::SETTINGS;

/// The schema of a configuration file, as of JSON Schema 2020-12. It knows names and types; forms of text, and what
/// values have to do with each other, are for `oh config check`.
#[must_use]
pub fn schema() -> Json {
    let mut top = Map::new();
    for section in options::sections() {
        let mut properties = Map::new();
        for option in &section.options {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == option.key()) else { continue };
            properties.insert(option.name.to_owned(), described(setting.kind, &option.help));
        }
        if section.name.is_empty() {
            top.extend(properties);
        } else {
            let mut table = table(properties, &[]);
            table["description"] = section.help.as_str().into();
            top.insert(section.name.to_owned(), table);
        }
    }
    let profile = json!({
        "type": "object",
        "description": "Options that hold for a profile only: `[profile.ack]`, chosen by OH_PROFILE or --profile.",
        "additionalProperties": { "$ref": "#/$defs/options" },
    });
    let mut with_profiles = top.clone();
    with_profiles.insert("profile".to_owned(), profile);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of oh",
    });
    if let (Some(schema), Json::Object(whole)) = (schema.as_object_mut(), table(with_profiles, &[])) {
        schema.extend(whole);
        schema.insert("$defs".to_owned(), json!({ "options": table(top, &[]) }));
    }
    schema
}

fn described(kind: Kind, help: &str) -> Json {
    let mut schema = of(kind);
    schema["description"] = help.into();
    schema
}

fn table(properties: Map<String, Json>, required: &[&str]) -> Json {
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        table["required"] = required.into();
    }
    table
}

fn of(kind: Kind) -> Json {
    match kind {
        Kind::Text(..) => json!({ "type": "string" }),
        Kind::Word(words) => json!({ "enum": words.concat() }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count { most } => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        Kind::Cores => {
            json!({ "type": ["number", "string"], "exclusiveMinimum": 0, "pattern": "^[0-9.]+m?$" })
        }
        Kind::Size => {
            json!({ "type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+([.][0-9]+)?(k|[KMGTP]i|[MGT])?$" })
        }
        Kind::Duration { .. } => json!({ "type": "string", "pattern": "[a-z]$" }),
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Secret => {
            let file = [("file".to_owned(), json!({ "type": "string" }))];
            json!({ "anyOf": [{ "type": "string" }, table(file.into_iter().collect(), &["file"])] })
        }
        Kind::List(of_item) => json!({ "type": "array", "items": of(*of_item) }),
        Kind::Map(_, _, of_value) => json!({ "type": "object", "additionalProperties": of(*of_value) }),
        Kind::Tables(fields) => {
            let properties = fields.iter().map(|field| (field.name.to_owned(), of(field.kind))).collect();
            let required: Vec<_> =
                fields.iter().filter(|field| field.required).map(|Field { name, .. }| *name).collect();
            json!({ "type": "array", "items": table(properties, &required) })
        }
    }
}
