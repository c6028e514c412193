//! A filter on the system calls of a process that only waits for another one and passes signals, keys or output on
//! (seccomp(2)).

use std::io;
use std::ptr;

/// What waiting, signalling, looking at the terminal and exiting need; opening is for reading only.
const ALLOWED: [libc::c_long; 27] = [
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getsid,
    libc::SYS_ioctl,
    libc::SYS_kill,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_wait4,
];

/// What waiting for messages too needs beside that; who also writes some needs the second, and has the terminal in common
/// with other runs.
const FOR_MESSAGES: [libc::c_long; 1] = [libc::SYS_ppoll];
const FOR_WRITING: [libc::c_long; 2] = [libc::SYS_flock, libc::SYS_write];

/// What passing output on in several threads needs beside that, and making buffers in locked memory.
const FOR_OUTPUT: [libc::c_long; 12] = [
    libc::SYS_gettid,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_prlimit64,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sysinfo,
];

/// What a process has to do beside waiting for another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// To pass signals on.
    Signals,
    /// To wait for messages of another process of ours too.
    Messages,
    /// To write some too, and to pass keys on.
    Keys,
    /// To pass output on too.
    Output,
}

impl Duty {
    fn calls(self) -> impl Iterator<Item = libc::c_long> {
        let (messages, writing, output): (&[_], &[_], &[_]) = match self {
            Duty::Signals => (&[], &[], &[]),
            Duty::Messages => (&FOR_MESSAGES, &[], &[]),
            Duty::Keys => (&FOR_MESSAGES, &FOR_WRITING, &[]),
            Duty::Output => (&FOR_MESSAGES, &FOR_WRITING, &FOR_OUTPUT),
        };
        let parts = [&ALLOWED, messages, writing, output].into_iter();
        parts.flatten().copied()
    }
}

/// The architecture by whose numbers calls are made (`AUDIT_ARCH_...`, linux/audit.h): its ELF machine, and flags for
/// 64 bits and little-endian byte order.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_0000 | libc::EM_X86_64 as u32)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_0000 | libc::EM_AARCH64 as u32)
} else {
    None
};

/// Where in `seccomp_data` the call's number, its architecture and the lower halves of its first and third argument
/// stand.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const THIRD_ARGUMENT: u32 = 32;

/// Has the kernel refuse all other calls than those of its duty from now on (`EPERM`), for this thread and those that it
/// starts.
///
/// # Errors
///
/// [`io::ErrorKind::Unsupported`] for a processor whose calls are not known here; any error of prctl(2), which systemd's
/// filters let through, unlike seccomp(2): `EINVAL` where the kernel has no filters, `EPERM` where another filter refuses
/// it.
pub fn confine(duty: Duty) -> io::Result<()> {
    let architecture = ARCHITECTURE.ok_or(io::ErrorKind::Unsupported)?;
    let mut program = program(architecture, duty);
    let filter = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_mut_ptr(),
    };
    rustix::thread::set_no_new_privs(true)?;
    let (option, mode) = (libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER);
    // SAFETY: `filter` refers to a live array of the length that it gives; the kernel copies it.
    match unsafe { libc::prctl(option, mode, ptr::from_ref(&filter), 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether an error of [`confine`] says that there are no such filters: on this processor, or in this kernel. One that a
/// filter above us has made up says something else.
pub fn is_without_confinement(error: &io::Error) -> bool {
    match error.raw_os_error() {
        None => error.kind() == io::ErrorKind::Unsupported,
        Some(code) => code == libc::EINVAL,
    }
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
/// As if the kernel had no such call.
const DENY: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// The filter as a program of classic BPF.
fn program(architecture: u32, duty: Duty) -> Vec<libc::sock_filter> {
    let writing = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_PATH) as u32;
    let mut program = vec![
        load(ARCHITECTURE_AT),
        skip_if_equal(architecture, 1),
        end(REFUSE),
        load(NUMBER),
    ];
    for call in duty.calls() {
        program.extend([skip_unless_equal(call as u32, 1), end(ALLOW)]);
    }
    program.extend([
        skip_unless_equal(libc::SYS_openat as u32, 4),
        load(THIRD_ARGUMENT),
        skip_if_any(writing, 1),
        end(ALLOW),
        end(REFUSE),
    ]);
    if duty == Duty::Output {
        program.extend([
            // A thread, but no process. The C library uses this call where there is no clone3(2), whose arguments a filter
            // cannot see.
            skip_unless_equal(libc::SYS_clone as u32, 4),
            load(FIRST_ARGUMENT),
            skip_if_any(libc::CLONE_THREAD as u32, 1),
            end(REFUSE),
            end(ALLOW),
            skip_unless_equal(libc::SYS_clone3 as u32, 1),
            end(DENY),
        ]);
    }
    program.push(end(REFUSE));
    program
}

fn load(at: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0)
}

fn skip_if_equal(value: u32, count: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ, value, count, 0)
}

fn skip_unless_equal(value: u32, count: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ, value, 0, count)
}

fn skip_if_any(bits: u32, count: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JSET, bits, count, 0)
}

fn end(verdict: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET, verdict, 0, 0)
}

/// One instruction; jumps skip `jt` others if its comparison holds, else `jf`.
fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    let code = code as u16;
    libc::sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::net::TcpListener;
    use std::process::Command;

    #[test]
    fn a_confined_thread_reads_and_waits_and_does_nothing_else() {
        let confined = std::thread::spawn(|| {
            super::confine(super::Duty::Signals).unwrap();
            let file = File::options().write(true).open("/dev/null").map(drop);
            let listener = TcpListener::bind("127.0.0.1:0").map(drop);
            let command = Command::new("true").spawn().map(drop);
            let reading = std::fs::read_to_string("/proc/self/stat");
            (reading, [file, listener, command])
        });
        let (reading, others) = confined.join().unwrap();
        assert!(!reading.unwrap().is_empty());
        for other in others {
            assert_eq!(other.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn who_passes_output_on_starts_threads_and_no_processes() {
        let confined = std::thread::spawn(|| {
            super::confine(super::Duty::Output).unwrap();
            let command = Command::new("true").spawn().map(drop);
            let thread = std::thread::Builder::new()
                .spawn(|| ())
                .map(|it| it.join().unwrap());
            (command, thread)
        });
        let (command, thread) = confined.join().unwrap();
        assert_eq!(command.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        thread.unwrap();
    }
}
