//! Layer: iostream.
//!
//! The commands.

use std::{
    str,
    time::{Duration, Instant},
};

use crate::{
    resp::{self, Command},
    store::Store,
};

/// Whether the connection goes on after a command.
pub enum Next {
    GoOn,
    Close,
}

type Outcome = Result<(), Failure>;

/// Why a command was not done.
enum Failure {
    Unknown,
    /// It has too many arguments or too few.
    Arity,
    Syntax,
    NotAnInteger,
    TooLong,
}

/// One command at work.
struct Call<'a> {
    arguments: &'a [&'a [u8]],
    store: &'a mut Store,
    now: Instant,
    answers: &'a mut Vec<u8>,
}

/// Most commands have at most so many arguments, which then need no memory of their own.
const FEW: usize = 8;

/// Does what `command` says, and appends its answer.
pub fn run(command: &Command<'_>, store: &mut Store, now: Instant, answers: &mut Vec<u8>) -> Next {
    let found = command.arguments();
    let count = found.len();
    let mut few: [&[u8]; FEW] = [&[]; FEW];
    let many: Vec<&[u8]>;
    let arguments = if count <= FEW {
        few.iter_mut().zip(found).for_each(|(place, argument)| *place = argument);
        &few[..count]
    } else {
        many = found.collect();
        &many
    };
    // An empty line asks for nothing.
    let Some((name, arguments)) = arguments.split_first() else { return Next::GoOn };
    let is_quit = name.eq_ignore_ascii_case(b"QUIT");
    let outcome = Call { arguments, store, now, answers }.run(name);
    if let Err(failure) = outcome {
        fail(answers, name, failure);
    }
    if is_quit { Next::Close } else { Next::GoOn }
}

fn fail(answers: &mut Vec<u8>, name: &[u8], failure: Failure) {
    let name = name[..name.len().min(64)].escape_ascii();
    match failure {
        Failure::Unknown => resp::error(answers, format_args!("ERR unknown command '{name}'")),
        Failure::Arity => resp::error(answers, format_args!("ERR wrong number of arguments for '{name}' command")),
        Failure::Syntax => resp::error(answers, format_args!("ERR syntax error")),
        Failure::NotAnInteger => resp::error(answers, format_args!("ERR value is not an integer or out of range")),
        Failure::TooLong => resp::error(answers, format_args!("ERR string exceeds maximum allowed size")),
    }
}

impl<'a> Call<'a> {
    fn run(&mut self, name: &[u8]) -> Outcome {
        // Names are short; a longer one is none of these.
        let mut upper = [0; 16];
        let Some(upper) = upper.get_mut(..name.len()) else { return Err(Failure::Unknown) };
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        match &*upper {
            b"GET" => self.get(),
            b"SET" => self.set(),
            b"DEL" | b"UNLINK" => self.del(),
            b"EXISTS" => self.exists(),
            b"MGET" => self.mget(),
            b"MSET" => self.mset(),
            b"APPEND" => self.append(),
            b"STRLEN" => self.strlen(),
            b"INCR" => self.add(1, 1),
            b"DECR" => self.add(-1, 1),
            b"INCRBY" => self.add(1, 2),
            b"DECRBY" => self.add(-1, 2),
            b"EXPIRE" => self.expire(1000),
            b"PEXPIRE" => self.expire(1),
            b"PERSIST" => self.persist(),
            b"TTL" => self.ttl(1000),
            b"PTTL" => self.ttl(1),
            b"DBSIZE" => self.dbsize(),
            b"FLUSHALL" | b"FLUSHDB" => self.flush(),
            b"PING" => self.ping(),
            b"ECHO" => self.echo(),
            b"SELECT" => self.select(),
            b"QUIT" => self.ok(),
            // What tools ask for when they connect: there are no settings and no descriptions.
            b"COMMAND" | b"CONFIG" => {
                resp::array(self.answers, 0);
                Ok(())
            }
            _ => Err(Failure::Unknown),
        }
    }

    fn get(&mut self) -> Outcome {
        let [key] = self.exactly()?;
        self.value(key);
        Ok(())
    }

    fn set(&mut self) -> Outcome {
        let [key, value, options @ ..] = self.arguments else { return Err(Failure::Arity) };
        let expires = match options {
            [] => None,
            [unit, time] if unit.eq_ignore_ascii_case(b"EX") => Some(self.after(time, 1000)?),
            [unit, time] if unit.eq_ignore_ascii_case(b"PX") => Some(self.after(time, 1)?),
            _ => return Err(Failure::Syntax),
        };
        self.store.set(key, value, expires);
        self.ok()
    }

    fn del(&mut self) -> Outcome {
        self.at_least_one()?;
        let removed = self.arguments.iter().filter(|key| self.store.remove(key, self.now)).count();
        self.integer(removed as i64)
    }

    fn exists(&mut self) -> Outcome {
        self.at_least_one()?;
        let found = self.arguments.iter().filter(|key| self.store.get(key, self.now).is_some()).count();
        self.integer(found as i64)
    }

    fn mget(&mut self) -> Outcome {
        self.at_least_one()?;
        resp::array(self.answers, self.arguments.len());
        self.arguments.iter().for_each(|key| self.value(key));
        Ok(())
    }

    fn mset(&mut self) -> Outcome {
        let (pairs, rest) = self.arguments.as_chunks();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(Failure::Arity);
        }
        for [key, value] in pairs {
            self.store.set(key, value, None);
        }
        self.ok()
    }

    fn append(&mut self) -> Outcome {
        let [key, more] = self.exactly()?;
        let value = self.store.value_mut(key, self.now);
        if value.len() + more.len() > resp::LONGEST_ARGUMENT {
            return Err(Failure::TooLong);
        }
        value.extend_from_slice(more);
        let length = value.len();
        self.integer(length as i64)
    }

    fn strlen(&mut self) -> Outcome {
        let [key] = self.exactly()?;
        let length = self.store.get(key, self.now).map_or(0, <[u8]>::len);
        self.integer(length as i64)
    }

    /// Adds `sign`, or `sign` times the second argument when there are to be two.
    fn add(&mut self, sign: i64, expected: usize) -> Outcome {
        let (key, step) = match *self.arguments {
            [key] if expected == 1 => (key, sign),
            [key, step] if expected == 2 => (key, number(step)?.checked_mul(sign).ok_or(Failure::NotAnInteger)?),
            _ => return Err(Failure::Arity),
        };
        let before = self.store.get(key, self.now).map_or(Ok(0), number)?;
        let after = before.checked_add(step).ok_or(Failure::NotAnInteger)?;
        let value = self.store.value_mut(key, self.now);
        value.clear();
        value.extend_from_slice(after.to_string().as_bytes());
        self.integer(after)
    }

    fn expire(&mut self, unit: u64) -> Outcome {
        let [key, time] = self.exactly()?;
        let expires = self.after(time, unit)?;
        let found = self.store.get(key, self.now).is_some();
        if found {
            self.store.expire(key, Some(expires));
        }
        self.integer(found.into())
    }

    fn persist(&mut self) -> Outcome {
        let [key] = self.exactly()?;
        let expired = matches!(self.store.expiry(key, self.now), Some(Some(_)));
        self.store.expire(key, None);
        self.integer(expired.into())
    }

    fn ttl(&mut self, unit: u64) -> Outcome {
        let [key] = self.exactly()?;
        let left = match self.store.expiry(key, self.now) {
            None => -2,
            Some(None) => -1,
            Some(Some(expires)) => {
                let millis = (expires - self.now).as_nanos().div_ceil(1_000_000) as u64;
                millis.div_ceil(unit) as i64
            }
        };
        self.integer(left)
    }

    fn dbsize(&mut self) -> Outcome {
        let [] = self.exactly()?;
        self.store.remove_expired(self.now);
        self.integer(self.store.len() as i64)
    }

    fn flush(&mut self) -> Outcome {
        self.store.clear();
        self.ok()
    }

    fn ping(&mut self) -> Outcome {
        match *self.arguments {
            [] => resp::simple(self.answers, "PONG"),
            [text] => resp::bulk(self.answers, text),
            _ => return Err(Failure::Arity),
        }
        Ok(())
    }

    fn echo(&mut self) -> Outcome {
        let [text] = self.exactly()?;
        resp::bulk(self.answers, text);
        Ok(())
    }

    /// There is one database, and its number is 0.
    fn select(&mut self) -> Outcome {
        let [index] = self.exactly()?;
        if number(index)? == 0 { self.ok() } else { Err(Failure::NotAnInteger) }
    }

    fn ok(&mut self) -> Outcome {
        resp::simple(self.answers, "OK");
        Ok(())
    }

    fn integer(&mut self, number: i64) -> Outcome {
        resp::integer(self.answers, number);
        Ok(())
    }

    fn value(&mut self, key: &[u8]) {
        match self.store.get(key, self.now) {
            Some(value) => resp::bulk(self.answers, value),
            None => resp::nil(self.answers),
        }
    }

    fn exactly<const N: usize>(&self) -> Result<[&'a [u8]; N], Failure> {
        self.arguments.try_into().map_err(|_| Failure::Arity)
    }

    fn at_least_one(&self) -> Outcome {
        if self.arguments.is_empty() { Err(Failure::Arity) } else { Ok(()) }
    }

    /// The time from now on that an argument names, in units of so many milliseconds.
    fn after(&self, time: &[u8], unit: u64) -> Result<Instant, Failure> {
        let units = u64::try_from(number(time)?).ok().filter(|&units| units > 0).ok_or(Failure::NotAnInteger)?;
        let time = units.checked_mul(unit).map(Duration::from_millis);
        time.and_then(|time| self.now.checked_add(time)).ok_or(Failure::NotAnInteger)
    }
}

fn number(digits: &[u8]) -> Result<i64, Failure> {
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Failure::NotAnInteger)
}
