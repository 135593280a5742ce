//! The system calls of the loader, its entry point, and the memory functions the compiler relies on.
#![expect(unsafe_code, reason = "there is no library between this program and the kernel")]

use core::arch::{asm, naked_asm};
use core::ffi::CStr;

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const READ: usize = 0;
    pub(super) const WRITE: usize = 1;
    pub(super) const FCHMOD: usize = 91;
    pub(super) const EXIT: usize = 231;
    pub(super) const OPENAT: usize = 257;
    pub(super) const UNLINKAT: usize = 263;
    pub(super) const MEMFD_CREATE: usize = 319;
    pub(super) const EXECVEAT: usize = 322;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const UNLINKAT: usize = 35;
    pub(super) const FCHMOD: usize = 52;
    pub(super) const OPENAT: usize = 56;
    pub(super) const READ: usize = 63;
    pub(super) const WRITE: usize = 64;
    pub(super) const EXIT: usize = 94;
    pub(super) const MEMFD_CREATE: usize = 279;
    pub(super) const EXECVEAT: usize = 281;
}

const AT_FDCWD: usize = -100_isize as usize;
const O_WRONLY: usize = 0o1;
const O_CREAT: usize = 0o100;
const O_EXCL: usize = 0o200;
const AT_EMPTY_PATH: usize = 0x1000;
const MFD_CLOEXEC: usize = 1;
/// Newer kernels can be told that only such a file may be executed; older ones do not know the flag.
const MFD_EXEC: usize = 0x10;
/// Readable and executable for everybody, writable for nobody.
const MODE: usize = 0o555;
const STDERR: usize = 2;
const EINTR: usize = 4;

/// An open file's number.
pub(crate) type File = usize;

/// What the kernel leaves on the stack of a new program: the number of its words, the words, the environment.
pub(crate) struct Arguments(*const usize);

impl Arguments {
    /// How many words there are, the program's name included.
    pub(crate) fn count(&self) -> usize {
        // SAFETY: the kernel wrote it there.
        unsafe { *self.0 }
    }

    /// Whether the first word behind the program's name is this.
    pub(crate) fn first_is(&self, word: &CStr) -> bool {
        if self.count() < 2 {
            return false;
        }
        // SAFETY: the kernel wrote the word's address there.
        let first = unsafe { *self.0.add(2) } as *const u8;
        // SAFETY: the word ends with a zero, and nothing behind that is read.
        word.to_bytes_with_nul().iter().enumerate().all(|(at, byte)| unsafe { *first.add(at) } == *byte)
    }
}

/// The number of an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(usize);

fn call(number: usize, arguments: [usize; 4]) -> Result<usize, Errno> {
    call_with_5(number, arguments, 0)
}

fn call_with_5(number: usize, arguments: [usize; 4], e: usize) -> Result<usize, Errno> {
    let [a, b, c, d] = arguments;
    let result: usize;
    // SAFETY: whoever calls this passes pointers that are valid for as many bytes as the call is told.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _, options(nostack)
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d,
            in("x4") e, options(nostack)
        );
    }
    // The kernel returns an error as a number from -4095 to -1.
    if result > usize::MAX - 4095 { Err(Errno(result.wrapping_neg())) } else { Ok(result) }
}

pub(crate) fn open_to_read(path: &CStr) -> Result<File, Errno> {
    call(number::OPENAT, [AT_FDCWD, path.as_ptr() as usize, 0, 0])
}

/// Makes a new file: what is there from an attempt before is another one.
pub(crate) fn create_executable(path: &CStr) -> Result<File, Errno> {
    let path = path.as_ptr() as usize;
    // Most often nothing is there; if it stays, making the file fails.
    let _ = call(number::UNLINKAT, [AT_FDCWD, path, 0, 0]);
    let file = call(number::OPENAT, [AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, MODE])?;
    // Whatever the umask is.
    call(number::FCHMOD, [file, MODE, 0, 0])?;
    Ok(file)
}

/// Makes a file that is nowhere but in memory, and is closed when a program is executed.
pub(crate) fn create_in_memory(name: &CStr) -> Result<File, Errno> {
    let create = |flags| call(number::MEMFD_CREATE, [name.as_ptr() as usize, flags, 0, 0]);
    create(MFD_CLOEXEC | MFD_EXEC).or_else(|_| create(MFD_CLOEXEC))
}

/// Executes a file in this program's place, with its arguments and environment. Returns only when it cannot.
pub(crate) fn execute(file: File, arguments: &Arguments) -> Result<(), Errno> {
    let words = arguments.0.wrapping_add(1);
    let environment = words.wrapping_add(arguments.count() + 1);
    let all = [file, c"".as_ptr() as usize, words as usize, environment as usize];
    call_with_5(number::EXECVEAT, all, AT_EMPTY_PATH).map(drop)
}

pub(crate) fn read(file: File, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match call(number::READ, [file, buffer.as_mut_ptr() as usize, buffer.len(), 0]) {
            Err(Errno(EINTR)) => {}
            result => return result,
        }
    }
}

pub(crate) fn write_all(file: File, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match call(number::WRITE, [file, bytes.as_ptr() as usize, bytes.len(), 0]) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno(EINTR)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn exit(code: usize) -> ! {
    loop {
        let _ = call(number::EXIT, [code, 0, 0, 0]);
    }
}

/// Where the kernel starts the program: the stack pointer is aligned, there is no return address.
// SAFETY: the only symbol of this name: nothing else is linked.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov rdi, rsp", "xor ebp, ebp", "call {}", "ud2", sym start);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x0, sp", "mov x29, xzr", "mov x30, xzr", "b {}", sym start);
}

extern "C" fn start(stack: *const usize) -> ! {
    match super::run(&Arguments(stack)) {
        Ok(()) => exit(0),
        Err(reason) => fail(reason),
    }
}

/// A line on standard error.
pub(crate) fn say(text: &str) {
    for part in ["oh-loader: ", text, "\n"] {
        // There is nowhere else to say it.
        let _ = write_all(STDERR, part.as_bytes());
    }
}

fn fail(reason: &str) -> ! {
    say(reason);
    exit(1)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("a fault of its own")
}

// What the compiler calls for copies and comparisons. The crate is `no_builtins`, or these loops would call themselves.

/// # Safety
/// As C's.
// SAFETY: the only symbol of this name: nothing else is linked.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for i in 0..count {
        // SAFETY: both are valid for `count` bytes.
        unsafe { *to.add(i) = *from.add(i) };
    }
    to
}

/// # Safety
/// As C's.
// SAFETY: the only symbol of this name: nothing else is linked.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.cast_const() <= from {
        // SAFETY: copying forwards never overwrites what is still to be read.
        return unsafe { memcpy(to, from, count) };
    }
    for i in (0..count).rev() {
        // SAFETY: both are valid for `count` bytes; backwards, for the same reason.
        unsafe { *to.add(i) = *from.add(i) };
    }
    to
}

/// # Safety
/// As C's.
// SAFETY: the only symbol of this name: nothing else is linked.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    for i in 0..count {
        // SAFETY: it is valid for `count` bytes.
        unsafe { *to.add(i) = value as u8 };
    }
    to
}

/// # Safety
/// As C's.
// SAFETY: the only symbol of this name: nothing else is linked.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for i in 0..count {
        // SAFETY: both are valid for `count` bytes.
        let (x, y) = unsafe { (*a.add(i), *b.add(i)) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}
