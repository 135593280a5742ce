//! TOML, with the line of every key.

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Lines, Parsed, Unreadable, join};

pub(super) fn parse(text: &str) -> Result<Parsed, Unreadable> {
    let table = DeTable::parse(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // The first line says what is wrong, and the next ones what could stand there.
        let message = error.message().replace('\n', ", ");
        Unreadable {
            line: Some(line(text, before.len())),
            what: format!("is no TOML at column {column}: {message}"),
        }
    })?;
    let mut reader = Reader { text, lines: Lines::default() };
    let values = reader.table("", table.get_ref());
    Ok(Parsed { values, lines: reader.lines })
}

fn line(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or_default().matches('\n').count() + 1
}

struct Reader<'t> {
    text: &'t str,
    lines: Lines,
}

impl Reader<'_> {
    fn table(&mut self, key: &str, table: &DeTable<'_>) -> Dict {
        let mut values = Dict::new();
        for (name, value) in table {
            let key = join(key, name.get_ref());
            self.lines.insert(key.clone(), line(self.text, name.span().start));
            values.insert(name.get_ref().clone().into_owned(), self.value(&key, value));
        }
        values
    }

    fn value(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => (&**text).into(),
            DeValue::Boolean(flag) => (*flag).into(),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => number.into(),
                Err(_) => {
                    integer.as_str().parse::<f64>().map_or_else(|_| integer.as_str().into(), Value::from)
                }
            },
            DeValue::Float(float) => {
                float.as_str().parse::<f64>().map_or_else(|_| float.as_str().into(), Value::from)
            }
            DeValue::Datetime(time) => time.to_string().into(),
            DeValue::Table(table) => self.table(key, table).into(),
            DeValue::Array(items) => {
                let mut values = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let key = format!("{key}[{index}]");
                    self.lines.insert(key.clone(), line(self.text, item.span().start));
                    values.push(self.value(&key, item));
                }
                values.into()
            }
        }
    }
}
