use std::{
    any::Any,
    cell::{Cell, RefCell},
    mem,
    ops::{Deref, DerefMut, Range},
    rc::Rc,
};

use bytes::Bytes;
use ioloop::{Ebb, on_ebb};

/// How much one `recv` may bring, in bytes.
pub(crate) const CHUNK_SIZE: usize = 64 * 1024;

/// Results from this size on take the buffer with them instead of a copy, in bytes.
const HAND_OVER_FROM: usize = 16 * 1024;

/// From this size on a part of a chunk takes the chunk along, in bytes. What is less is copied, so that a chunk is not kept
/// for a line.
const LEND_FROM: usize = CHUNK_SIZE / 2;

/// How many given-back buffers a thread keeps.
const POOL_BUFFERS: usize = 64;

/// The largest buffer that a thread keeps, in bytes. A buffer that one big message has blown up goes back to the
/// allocator, or an idle process would hold the memory of its busiest moment.
const POOL_BUFFER_SIZE: usize = 16 * 1024;

thread_local! {
    /// Absent until the first read and while a read is using it.
    static CHUNK: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    /// The chunk that was last lent to those who read from it. Becomes the thread's again when they have dropped theirs.
    static LENT: Cell<Option<Bytes>> = const { Cell::new(None) };
    #[allow(clippy::vec_box, reason = "a stream holds a pointer")]
    static POOL: RefCell<Vec<Box<Held>>> = const { RefCell::new(Vec::new()) };
    /// Made by the thread's first read.
    static KEPT: Rc<Kept> = {
        let kept = Rc::new(Kept);
        // Each thread-local that has a destructor takes a block for good when it is first touched. Now it lies at the
        // beginning of the heap; at the end of a burst it would keep all that is before it.
        drop(kept.ebb());
        let holder = Rc::downgrade(&kept);
        on_ebb(holder);
        kept
    };
}

/// What a burst of streams has made the thread keep goes when it ebbs: it lies behind the memory that is free then.
struct Kept;

impl Ebb for Kept {
    #[inline]
    fn ebb(&self) -> Box<dyn Any> {
        Box::new((CHUNK.take(), LENT.take(), POOL.take()))
    }
}

/// The thread's read chunk, taken out of its place: a read inside a parser (user code) then finds none and gets a fresh
/// one. Comes back when dropped.
pub(crate) struct Chunk(Box<[u8]>);

impl Chunk {
    pub(crate) fn take() -> Chunk {
        Chunk(CHUNK.take().unwrap_or_else(Chunk::fresh))
    }

    #[cold]
    fn fresh() -> Box<[u8]> {
        // Fails while the thread ends.
        let _ = KEPT.try_with(|_| ());
        match LENT.try_with(Cell::take) {
            // Neither copied nor zeroed: it begins where its memory does.
            Ok(Some(lent)) if lent.is_unique() => Vec::from(lent).into_boxed_slice(),
            _ => vec![0; CHUNK_SIZE].into_boxed_slice(),
        }
    }

    /// The first `n` bytes as a result. A large one gets the chunk itself, as long as it lives.
    #[inline]
    pub(crate) fn into_result(self, n: usize) -> Bytes {
        if n < LEND_FROM { Bytes::copy_from_slice(&self[..n]) } else { self.lend(0..n) }
    }

    fn lend(mut self, part: Range<usize>) -> Bytes {
        let chunk = Bytes::from(mem::take(&mut self.0));
        let lent = chunk.slice(part);
        // Fails while the thread ends.
        let _ = LENT.try_with(|place| place.set(Some(chunk)));
        lent
    }

    /// The bytes in `rest` as a buffer, with the memory of the chunk.
    fn hand_over(&mut self, rest: Range<usize>) -> PooledBuffer {
        let mut data = Vec::from(mem::take(&mut self.0));
        data.truncate(rest.end);
        PooledBuffer(Some(Box::new(Held { data, start: rest.start })))
    }
}

impl From<Vec<u8>> for Chunk {
    /// Of a vector with the memory of a chunk.
    #[inline]
    fn from(mut data: Vec<u8>) -> Chunk {
        data.resize(CHUNK_SIZE, 0);
        Chunk(data.into_boxed_slice())
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        give_back(mem::take(&mut self.0));
    }
}

/// Keeps a chunk for the next read. An empty one was handed over.
#[inline]
fn give_back(chunk: Box<[u8]>) {
    if !chunk.is_empty() {
        // Fails while the thread ends: then there is no next read.
        let _ = CHUNK.try_with(|place| place.set(Some(chunk)));
    }
}

/// Bytes that wait to be consumed, by a reader or by the kernel. Owns memory only while there are some: an idle stream has a
/// pointer to nothing, and a busy one is read by moving no more than that.
#[derive(Debug, Default)]
pub(crate) struct PooledBuffer(Option<Box<Held>>);

/// Some bytes. From the thread's pool, where it is empty.
#[derive(Debug, Default)]
struct Held {
    data: Vec<u8>,
    /// How much of `data` has been consumed. Less than there is.
    start: usize,
}

impl Held {
    fn len(&self) -> usize {
        self.data.len() - self.start
    }

    fn as_slice(&self) -> &[u8] {
        &self.data[self.start..]
    }

    fn append(&mut self, bytes: &[u8]) {
        // Moving the rest down only when it is the smaller part keeps the cost linear in the data.
        if self.start > 0 && self.start >= self.len() && self.data.capacity() - self.data.len() < bytes.len() {
            self.data.drain(..self.start);
            self.start = 0;
        }
        self.data.extend_from_slice(bytes);
    }
}

impl PooledBuffer {
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    #[cfg(test)]
    pub(crate) fn owns_memory(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |held| held.as_slice())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_with(|| POOL.with_borrow_mut(Vec::pop).unwrap_or_default()).append(bytes);
        }
    }

    /// Holds the part `rest` of a chunk too. When nothing was held, what is most of the chunk takes its memory along, which
    /// saves the copy of a peer's bulk.
    #[inline]
    pub(crate) fn hold(&mut self, chunk: &mut Chunk, rest: Range<usize>) {
        if rest.len() >= LEND_FROM && self.is_empty() {
            *self = chunk.hand_over(rest);
        } else {
            self.append(&chunk[rest]);
        }
    }

    /// Puts bytes back in front of everything.
    #[inline]
    pub(crate) fn prepend(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Some(held) if bytes.len() <= held.start => {
                held.start -= bytes.len();
                held.data[held.start..][..bytes.len()].copy_from_slice(bytes);
            }
            _ => {
                let rest = mem::take(self);
                self.append(bytes);
                self.append(rest.as_slice());
            }
        }
    }

    pub(crate) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len(), "consumed {n} of {} bytes", self.len());
        let Some(held) = &mut self.0 else { return };
        held.start += n;
        if held.start >= held.data.len() {
            mem::take(self);
        }
    }

    /// The memory with all bytes, when they are many; nothing when they are few, and better copied.
    pub(crate) fn take_large(&mut self) -> Vec<u8> {
        let Some(held) = self.0.take_if(|held| held.len() >= HAND_OVER_FROM) else { return Vec::new() };
        let Held { mut data, start } = *held;
        data.drain(..start);
        data
    }

    /// Moves bytes to the beginning of `to`, as many as there are and as fit. Returns how many.
    #[inline]
    pub(crate) fn move_to(&mut self, to: &mut [u8]) -> usize {
        let count = self.len().min(to.len());
        to[..count].copy_from_slice(&self.as_slice()[..count]);
        self.consume(count);
        count
    }

    /// Removes the first `n` bytes. A large result gets the buffer itself; what is copied then is the rest behind it.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        // A small result in a large buffer would keep all of it alive for as long as the result lives.
        let is_large = |held: &mut Box<Held>| n >= HAND_OVER_FROM && held.data.capacity() - n <= n;
        let Some(held) = self.0.take_if(is_large) else {
            let taken = Bytes::copy_from_slice(&self.as_slice()[..n]);
            self.consume(n);
            return taken;
        };
        let Held { mut data, start } = *held;
        self.append(&data[start + n..]);
        if data.capacity() == CHUNK_SIZE {
            return Chunk::from(data).lend(start..start + n);
        }
        data.truncate(start + n);
        Bytes::from(data).split_off(start)
    }
}

impl From<Vec<u8>> for PooledBuffer {
    #[inline]
    fn from(data: Vec<u8>) -> PooledBuffer {
        PooledBuffer((!data.is_empty()).then(|| Box::new(Held { data, start: 0 })))
    }
}

impl Drop for PooledBuffer {
    /// Returns the memory to the thread's pool.
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            give_back_held(held);
        }
    }
}

fn give_back_held(mut held: Box<Held>) {
    if held.data.capacity() == CHUNK_SIZE {
        return drop(Chunk::from(mem::take(&mut held.data)));
    }
    if held.data.capacity() > POOL_BUFFER_SIZE {
        return;
    }
    held.data.clear();
    held.start = 0;
    // Fails while the thread ends.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < POOL_BUFFERS {
            pool.push(held);
        }
    });
}

/// What a parser is shown: the bytes not consumed so far, straight from the read chunk when the stream held none back.
pub(crate) enum Window<'c, 'h> {
    Chunk(&'c [u8]),
    Held(&'h mut PooledBuffer),
}

impl Window<'_, '_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Window::Chunk(bytes) => bytes,
            Window::Held(buffer) => buffer.as_slice(),
        }
    }

    pub(crate) fn consume(&mut self, n: usize) {
        match self {
            Window::Chunk(bytes) => *bytes = &bytes[n..],
            Window::Held(buffer) => buffer.consume(n),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        match self {
            Window::Chunk(bytes) => {
                let (taken, rest) = bytes.split_at(n);
                *bytes = rest;
                Bytes::copy_from_slice(taken)
            }
            Window::Held(buffer) => buffer.take(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Append(Vec<u8>),
        Prepend(Vec<u8>),
        Consume(usize),
        Take(usize),
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..50),
            (any::<u8>(), 0..40_000usize).prop_map(|(byte, n)| vec![byte; n]),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => bytes().prop_map(Step::Append),
            1 => bytes().prop_map(Step::Prepend),
            2 => (0..60_000usize).prop_map(Step::Consume),
            2 => (0..60_000usize).prop_map(Step::Take),
            2 => (0..60usize).prop_map(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_queue_of_bytes(steps in proptest::collection::vec(step(), 0..40)) {
            let mut buffer = PooledBuffer::default();
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Step::Append(bytes) => {
                        buffer.append(&bytes);
                        model.extend(bytes);
                    }
                    Step::Prepend(bytes) => {
                        buffer.prepend(&bytes);
                        bytes.into_iter().rev().for_each(|byte| model.push_front(byte));
                    }
                    Step::Consume(n) => {
                        let n = n.min(model.len());
                        buffer.consume(n);
                        model.drain(..n);
                    }
                    Step::Take(n) => {
                        let n = n.min(model.len());
                        prop_assert_eq!(&buffer.take(n)[..], &model.drain(..n).collect::<Vec<_>>()[..]);
                    }
                }
                prop_assert_eq!(buffer.as_slice(), model.make_contiguous() as &[u8]);
                prop_assert_eq!(buffer.is_empty(), model.is_empty());
                prop_assert!(!buffer.is_empty() || !buffer.owns_memory(), "an empty buffer owns memory");
            }
        }
    }

    #[test]
    fn a_large_result_takes_the_buffer_with_it() {
        let mut buffer = PooledBuffer::default();
        buffer.append(&vec![7; 100_000]);
        buffer.append(b"rest");
        let place = buffer.as_slice().as_ptr();
        let taken = buffer.take(100_000);
        assert_eq!(taken.as_ptr(), place);
        assert_eq!(buffer.as_slice(), b"rest");
    }

    #[test]
    fn the_pool_keeps_neither_many_buffers_nor_large_ones() {
        let mut buffers: Vec<PooledBuffer> = (0..2 * POOL_BUFFERS).map(|_| PooledBuffer::default()).collect();
        buffers.iter_mut().for_each(|buffer| buffer.append(b"x"));
        buffers[0].append(&vec![0; POOL_BUFFER_SIZE + 1]);
        drop(buffers);
        POOL.with_borrow(|pool| {
            assert_eq!(pool.len(), POOL_BUFFERS);
            assert!(pool.iter().all(|held| held.data.is_empty() && held.data.capacity() <= POOL_BUFFER_SIZE));
        });
    }

    #[test]
    fn a_nested_read_gets_a_chunk_of_its_own() {
        let mut outer = Chunk::take();
        outer[0] = 1;
        let mut inner = Chunk::take();
        inner[0] = 2;
        assert_eq!((outer[0], outer.len(), inner.len()), (1, CHUNK_SIZE, CHUNK_SIZE));
    }
}
