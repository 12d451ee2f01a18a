//! Reading: one primitive that receives and shows a parser what has come, and the named reads on top of it.

mod polling;
mod reading;
#[cfg(feature = "regex")]
mod regex;
mod sized;
mod until;
mod with;

use std::{
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use crate::{
    Error, Result,
    buffer::{CHUNK_SIZE, Chunk, PooledBuffer, Window},
    iostream::Inner,
    marks::Mark,
};

#[cfg(feature = "regex")]
pub use self::regex::ReadUntilRegexFuture;
pub use self::{
    sized::{ReadBytesFuture, ReadIntoFuture, ReadSomeFuture},
    until::{ReadUntilCloseFuture, ReadUntilFuture, ReadUntilIntoFuture},
    with::{Parsed, ReadWithFuture},
};
pub use polling::BufReader;

/// How often a stream may call `recv` without ever having to wait, before the rest of the loop gets its turn: at 64 KiB
/// each, 1 MiB. Counted over reads, since each of a series may be satisfied at once.
const RECVS_PER_TURN: u8 = 16;

/// From which size on a caller's buffer is received into directly, in bytes. Below, the system calls that the chunk saves
/// are worth more than its copy: in bulk over loopback the two are even here.
const DIRECT_FROM: usize = 16 * 1024;

/// Up to how many held bytes are moved in front of what is received, instead of copying that behind them.
const MOVED_UP_TO: usize = 4 * 1024;

/// A parser inside this crate: takes from the window what it likes, and says whether the read is over.
type Parse<'p> = dyn FnMut(&mut Window<'_, '_>) -> bool + 'p;

impl Inner {
    /// Every read: shows `parse` what is held, then receives and shows until `parse` is content.
    ///
    /// `shown` is how much `parse` has seen already; a future that remembers it is not shown the same bytes twice.
    ///
    /// `dyn`, so that there is one copy of this; the call costs less than the cache misses of several.
    fn poll_read(self: &Rc<Self>, cx: &mut Context<'_>, shown: &mut usize, parse: &mut Parse<'_>) -> Poll<Result<()>> {
        if self.parsing.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let held = self.held.borrow().len();
        // The same bytes once more would be the same answer: a parser that scans would scan them for each packet.
        if held != 0 && held != *shown && self.show_held(&[], shown, parse) {
            return Poll::Ready(Ok(()));
        }
        loop {
            let (mut chunk, count) = ready!(self.poll_chunk(cx))?;
            if self.show(&mut chunk, count, shown, parse) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// One `recv` for a reader: the chunk it went to, and how much of it is filled. A little that was held is moved to its
    /// beginning, so that the beginning of a message is copied behind which more has come, and not the other way round.
    // With what it calls a part of `poll_read` and of `poll_read_with`, which every request passes; the others share a copy.
    #[inline(always)]
    fn poll_chunk(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<(Chunk, usize)>> {
        // After the FIN a `recv` would say 0 for ever. The cause tells a broken connection from an ended one.
        if self.is_closed() || self.marks.has(Mark::EOF) {
            return Poll::Ready(Err(self.closed_error()));
        }
        let held = self.held.borrow().len();
        let room = self.room(held);
        if room == 0 {
            return Poll::Ready(Err(self.buffer_full()));
        }
        if held == 0 || held > MOVED_UP_TO {
            return self.poll_receive_to(cx, Chunk::take, |chunk| within(chunk, room));
        }
        let (mut chunk, count) = ready!(self.poll_receive_behind(cx, held, room))?;
        let moved = self.held.take();
        if moved.len() == held {
            return Poll::Ready(Ok((chunk, held + count)));
        }
        // Foreign code, a waker or a transport, has read meanwhile. What is left is kept, and what came goes behind it.
        self.held.replace(moved);
        chunk.copy_within(held..held + count, 0);
        Poll::Ready(Ok((chunk, count)))
    }

    #[inline(never)]
    fn poll_chunk_apart(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<(Chunk, usize)>> {
        self.poll_chunk(cx)
    }

    /// Receives without a reader, into the buffer, until the input ends or the buffer is full. Returns whether it is full.
    #[inline]
    pub(crate) fn receive_rest(self: &Rc<Self>, cx: &mut Context<'_>) -> bool {
        loop {
            let room = self.max_buffer_size().saturating_sub(self.held.borrow().len());
            if self.is_closed() || self.marks.has(Mark::EOF) {
                return false;
            }
            // While a parser runs, the buffer is with it.
            if room == 0 || self.parsing.get() {
                return true;
            }
            match self.poll_receive(cx, room) {
                Poll::Ready(Ok((chunk, count))) => self.held.borrow_mut().append(&chunk[..count]),
                // At an error the stream is closed now, and the next read is told why.
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            }
        }
    }

    /// One `recv` of one byte or more into the thread's chunk.
    #[inline(never)]
    pub(crate) fn poll_receive(self: &Rc<Self>, cx: &mut Context<'_>, room: usize) -> Poll<Result<(Chunk, usize)>> {
        self.poll_receive_to(cx, Chunk::take, |chunk| within(chunk, room))
    }

    /// One `recv` into the thread's chunk, behind a copy of the `held` bytes.
    #[inline(never)]
    fn poll_receive_behind(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        held: usize,
        room: usize,
    ) -> Poll<Result<(Chunk, usize)>> {
        let begun = || {
            let mut chunk = Chunk::take();
            // Fewer when foreign code has read meanwhile.
            let bytes = self.held.borrow();
            let count = held.min(bytes.len());
            chunk[..count].copy_from_slice(&bytes.as_slice()[..count]);
            chunk
        };
        self.poll_receive_to(cx, begun, |chunk| &mut chunk[held..][..room.min(CHUNK_SIZE - held)])
    }

    /// Moves what has come to `buf`, one byte or more: what is held first, and otherwise one `recv`. A buffer worth it is
    /// received into directly.
    #[inline]
    fn poll_receive_into(self: &Rc<Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if self.parsing.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        if !self.held.borrow().is_empty() {
            return Poll::Ready(Ok(self.held.borrow_mut().move_to(buf)));
        }
        if buf.len() < DIRECT_FROM {
            let (mut chunk, count) = ready!(self.poll_chunk_apart(cx))?;
            let moved = count.min(buf.len());
            buf[..moved].copy_from_slice(&chunk[..moved]);
            self.held.borrow_mut().hold(&mut chunk, moved..count);
            return Poll::Ready(Ok(moved));
        }
        if self.is_closed() || self.marks.has(Mark::EOF) {
            return Poll::Ready(Err(self.closed_error()));
        }
        let most = buf.len().min(usize::from(RECVS_PER_TURN) * CHUNK_SIZE);
        let (_, count) = ready!(self.poll_receive_to(cx, || &mut buf[..most], |buf| buf))?;
        // Counted as the chunks that it is worth, so that streams have equal shares of a turn.
        let recvs = usize::from(self.recvs.get()) + count / CHUNK_SIZE;
        self.recvs.set(recvs.min(RECVS_PER_TURN.into()) as u8);
        Poll::Ready(Ok(count))
    }

    /// What has come, at least one byte and at most `max`: what is held first, and otherwise one `recv`.
    #[inline]
    fn poll_take(self: &Rc<Self>, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes>> {
        if self.parsing.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let held = self.held.borrow().len();
        if held != 0 {
            return Poll::Ready(Ok(self.held.borrow_mut().take(held.min(max))));
        }
        let (chunk, count) = ready!(self.poll_chunk_apart(cx))?;
        let taken = count.min(max);
        // First what stays: the result may take the chunk along.
        self.held.borrow_mut().append(&chunk[taken..count]);
        Poll::Ready(Ok(chunk.into_result(taken)))
    }

    /// One `recv` of one byte or more. The end of input is noted, and is an error to the operation that meets it.
    ///
    /// `buf` is made only when there is something to receive, and `room` is the part of it to be filled.
    #[inline(always)]
    fn poll_receive_to<B>(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        buf: impl FnOnce() -> B,
        room: impl FnOnce(&mut B) -> &mut [u8],
    ) -> Poll<Result<(B, usize)>> {
        let transport = self.transport.borrow();
        // Asked first, because this is how nearly every request begins: with a wait, which needs no chunk.
        if transport.poll_recv_ready(cx).is_pending() {
            self.recvs.set(0);
            return Poll::Pending;
        }
        // A peer that sends as fast as it is read must not starve the others.
        if self.recvs.get() == RECVS_PER_TURN {
            self.recvs.set(0);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.recvs.set(self.recvs.get() + 1);
        let mut buf = buf();
        let received = transport.poll_recv(cx, room(&mut buf));
        // The end or an error closes the stream, which replaces the transport.
        drop(transport);
        match received {
            Poll::Ready(Ok(0)) => {
                self.end_of_input();
                Poll::Ready(Err(self.closed_error()))
            }
            Poll::Ready(Ok(count)) => Poll::Ready(Ok((buf, count))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.fail(error))),
            Poll::Pending => {
                self.recvs.set(0);
                Poll::Pending
            }
        }
    }

    /// How much may be received now. One byte more than may be held: so input that fills the buffer and then ends is
    /// told from input that goes on.
    fn room(&self, held: usize) -> usize {
        self.max_buffer_size().saturating_add(1).saturating_sub(held)
    }

    #[cold]
    pub(crate) fn buffer_full(self: &Rc<Self>) -> Error {
        let limit = self.max_buffer_size();
        // The reader is told, and knows best whether that is worth a line.
        log::debug!("closing the connection with {}: a read needs more than {limit} bytes", self.peer());
        self.close(None);
        Error::BufferFull { limit }
    }

    /// Shows `parse` what is held and, behind it, the first `count` bytes of `chunk`; keeps what it leaves.
    fn show(&self, chunk: &mut Chunk, count: usize, shown: &mut usize, parse: &mut Parse<'_>) -> bool {
        let received = &chunk[..count];
        if !self.held.borrow().is_empty() {
            return self.show_held(received, shown, parse);
        }
        let fresh = Fresh::enter(self, received);
        let mut window = Window::Chunk(received);
        let done = parse(&mut window);
        fresh.over();
        *shown = window.bytes().len();
        if *shown > 0 {
            self.held.borrow_mut().hold(chunk, count - *shown..count);
        }
        done
    }

    /// [`show`](Inner::show) for a stream that holds nothing and a user's parser.
    #[inline]
    fn show_fresh<T>(&self, chunk: &mut Chunk, count: usize, parse: &mut impl FnMut(&[u8]) -> Parsed<T>) -> Option<T> {
        let received = &chunk[..count];
        let fresh = Fresh::enter(self, received);
        let (consumed, value) = match parse(received) {
            Parsed::Incomplete => (0, None),
            Parsed::Done { consumed, value } => (consumed, Some(value)),
        };
        assert!(consumed <= received.len(), "the parser consumed {consumed} of {} bytes", received.len());
        fresh.over();
        // A request that came alone is consumed whole: then nothing is copied and no buffer is taken.
        if consumed < count {
            self.held.borrow_mut().hold(chunk, consumed..count);
        }
        value
    }

    /// [`show_held`](Inner::show_held) with nothing behind it and a user's parser: what each pipelined request passes.
    #[inline]
    fn show_all_held<T>(&self, parse: &mut impl FnMut(&[u8]) -> Parsed<T>) -> Option<T> {
        let mut borrowed = Borrowed::from(self);
        let shown = borrowed.buffer.as_slice();
        match parse(shown) {
            Parsed::Incomplete => None,
            Parsed::Done { consumed, value } => {
                assert!(consumed <= shown.len(), "the parser consumed {consumed} of {} bytes", shown.len());
                borrowed.buffer.consume(consumed);
                Some(value)
            }
        }
    }

    fn show_held(&self, received: &[u8], shown: &mut usize, parse: &mut Parse<'_>) -> bool {
        let mut borrowed = Borrowed::from(self);
        let buffer = &mut borrowed.buffer;
        // Appended before the parser runs, so a panic loses nothing.
        buffer.append(received);
        let done = parse(&mut Window::Held(buffer));
        *shown = buffer.len();
        done
    }
}

/// Never more than there is room for: what is not received stays in the kernel, whose window slows the peer down.
#[inline]
fn within(chunk: &mut Chunk, room: usize) -> &mut [u8] {
    &mut chunk[..room.min(CHUNK_SIZE)]
}

/// While it lives a parser (user code) runs, and a nested read is refused. Ends when dropped, also by a panic.
struct Parsing<'a>(&'a Inner);

impl<'a> Parsing<'a> {
    fn enter(inner: &'a Inner) -> Self {
        inner.parsing.set(true);
        Parsing(inner)
    }
}

impl Drop for Parsing<'_> {
    fn drop(&mut self) {
        self.0.parsing.set(false);
    }
}

/// A stream's buffer, taken out while a parser runs, so that no `RefCell` is borrowed then. Goes back when dropped.
struct Borrowed<'a> {
    buffer: PooledBuffer,
    parsing: Parsing<'a>,
}

impl<'a> Borrowed<'a> {
    fn from(home: &'a Inner) -> Self {
        Borrowed { buffer: home.held.take(), parsing: Parsing::enter(home) }
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.parsing.0.held.replace(mem::take(&mut self.buffer));
    }
}

/// Bytes in the thread's chunk that a parser is being shown. Dropped by a panic, it keeps all of them, because the next
/// `recv` brings what is behind. It has no work in the other case, which is every request's.
struct Fresh<'a> {
    received: &'a [u8],
    inner: &'a Inner,
}

impl<'a> Fresh<'a> {
    #[inline]
    fn enter(inner: &'a Inner, received: &'a [u8]) -> Self {
        inner.parsing.set(true);
        Fresh { received, inner }
    }

    /// The parser has returned, with a claim that can be true.
    #[inline]
    fn over(self) {
        self.inner.parsing.set(false);
        mem::forget(self);
    }
}

impl Drop for Fresh<'_> {
    #[cold]
    fn drop(&mut self) {
        self.inner.parsing.set(false);
        self.inner.held.borrow_mut().append(self.received);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
    };

    use crate::{IOLoop, IOStream};

    fn pair() -> (IOStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (IOStream::from_accepted(listener.accept().unwrap().0).unwrap(), peer)
    }

    #[test]
    fn a_short_read_saves_the_recv_that_would_only_say_so() {
        let (stream, mut peer) = pair();
        peer.write_all(b"request").unwrap();
        IOLoop::current().run_sync(stream.read_bytes(7)).unwrap();
        assert_eq!(stream.inner.recvs.get(), 1);
        assert!(!stream.is_readable());
    }

    #[test]
    fn a_stream_owns_memory_only_while_it_holds_bytes() {
        let (stream, mut peer) = pair();
        peer.write_all(b"request").unwrap();
        let owns = || stream.inner.held.borrow().owns_memory();
        IOLoop::current().run_sync(stream.read_bytes(4)).unwrap();
        assert!(owns());
        IOLoop::current().run_sync(stream.read_bytes(3)).unwrap();
        assert!(!owns());
    }
}
