use http::Method;

/// The method of a request in a byte. A [`Method`] has 24, and a request that waits keeps them.
///
/// The numbers of HEAD and CONNECT are those of their flags, and no other one has such a bit: what a connection has to know of
/// the method is one operation then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RequestMethod {
    Get = 0,
    Post = 1,
    Head = 2,
    Connect = 4,
    Put = 8,
    Delete = 9,
    Options = 16,
    Trace = 17,
    Patch = 24,
    /// One that stands elsewhere.
    Other = 25,
}

// Constants would be values of their own wherever they are named, to which no reference lasts.
static GET: Method = Method::GET;
static HEAD: Method = Method::HEAD;
static POST: Method = Method::POST;
static PUT: Method = Method::PUT;
static DELETE: Method = Method::DELETE;
static CONNECT: Method = Method::CONNECT;
static OPTIONS: Method = Method::OPTIONS;
static TRACE: Method = Method::TRACE;
static PATCH: Method = Method::PATCH;

impl RequestMethod {
    /// Of `method`, which is given back boxed if it is none of those that the standard knows.
    #[inline]
    pub(super) fn of(method: Method) -> (RequestMethod, Option<Box<Method>>) {
        let known = match method {
            Method::GET => RequestMethod::Get,
            Method::HEAD => RequestMethod::Head,
            Method::POST => RequestMethod::Post,
            Method::PUT => RequestMethod::Put,
            Method::DELETE => RequestMethod::Delete,
            Method::CONNECT => RequestMethod::Connect,
            Method::OPTIONS => RequestMethod::Options,
            Method::TRACE => RequestMethod::Trace,
            Method::PATCH => RequestMethod::Patch,
            other => return (RequestMethod::Other, Some(Box::new(other))),
        };
        (known, None)
    }

    /// The method, which is `other` if it is none of those that the standard knows.
    #[inline]
    pub(super) fn get(self, other: Option<&Method>) -> &Method {
        match self {
            RequestMethod::Get => &GET,
            RequestMethod::Head => &HEAD,
            RequestMethod::Post => &POST,
            RequestMethod::Put => &PUT,
            RequestMethod::Delete => &DELETE,
            RequestMethod::Connect => &CONNECT,
            RequestMethod::Options => &OPTIONS,
            RequestMethod::Trace => &TRACE,
            RequestMethod::Patch => &PATCH,
            // It is there.
            RequestMethod::Other => other.unwrap_or(&GET),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::conn::Flag;

    #[test]
    fn every_method_comes_back_and_only_unknown_ones_are_boxed() {
        for method in
            ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "get"]
        {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let (known, other) = RequestMethod::of(method.clone());
            assert_eq!(known.get(other.as_deref()), &method);
            assert_eq!(other.is_some(), matches!(method.as_str(), "PROPFIND" | "get"));
            let is = |flag: Flag| flag == Flag::of_method(known);
            assert_eq!((is(Flag::HEAD), is(Flag::CONNECT)), (method == Method::HEAD, method == Method::CONNECT));
            assert!(is(Flag::HEAD) || is(Flag::CONNECT) || Flag::of_method(known) == Flag::HEAD.when(false));
        }
    }
}
