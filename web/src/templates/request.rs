//! The request, as templates see it.

use std::sync::Arc;

use httpserver::Protocol;
use minijinja::{Value, value::Object};

use super::names::exchange;
use crate::exchange::Exchange;

/// `request` in a template.
#[derive(Debug)]
pub(super) struct RequestValue;

impl Object for RequestValue {
    #[inline]
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    #[inline]
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        exchange(|exchange| attribute(exchange?, key))
    }
}

#[inline]
fn attribute(exchange: &Exchange, name: &str) -> Option<Value> {
    let request = exchange.request();
    Some(match name {
        "method" => Value::from(request.method().as_str()),
        "uri" => Value::from(request.target()),
        "path" => Value::from(request.path()),
        "query" => Value::from(request.query().unwrap_or_default()),
        "host" => Value::from(request.host().unwrap_or_default()),
        "protocol" => Value::from(if exchange.protocol() == Protocol::Https { "https" } else { "http" }),
        "remote_ip" => exchange.remote_ip().map_or(Value::from(()), |ip| Value::from(ip.to_string())),
        "headers" => Value::from_object(HeadersValue),
        _ => return None,
    })
}

/// `request.headers`: by any name, in any case; none if there is no such header.
#[derive(Debug)]
struct HeadersValue;

impl Object for HeadersValue {
    #[inline]
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    #[inline]
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        exchange(|exchange| Some(exchange?.header(key).map_or(Value::from(()), Value::from)))
    }
}
