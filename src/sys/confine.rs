//! A filter on the system calls of a process that only waits for another one and passes signals, keys or output on
//! (seccomp(2)).

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

/// What passing keys on needs too.
const FOR_KEYS: [libc::c_long; 2] = [libc::SYS_ppoll, libc::SYS_write];

/// What passing output on in several threads needs beside that, and making buffers in locked memory.
const FOR_OUTPUT: [libc::c_long; 8] = [
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_prlimit64,
    libc::SYS_sched_yield,
    libc::SYS_gettid,
];

/// What a process has to do beside waiting for another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// To pass signals on.
    Signals,
    /// To pass keys on too.
    Keys,
    /// To pass output on too.
    Output,
}

impl Duty {
    fn calls(self) -> impl Iterator<Item = libc::c_long> {
        let keys = (self != Duty::Signals).then_some(FOR_KEYS);
        let output = (self == Duty::Output).then_some(FOR_OUTPUT);
        let others = keys
            .into_iter()
            .flatten()
            .chain(output.into_iter().flatten());
        ALLOWED.into_iter().chain(others)
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

/// Where in `seccomp_data` the call's number, its architecture and the lower half of its third argument stand.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const THIRD_ARGUMENT: u32 = 32;

/// Has the kernel refuse all other calls than those of its duty from now on (`EPERM`), for this thread and what it
/// might start; who passes output on has other threads too. Where there are no filters, nothing happens.
pub fn confine(duty: Duty) {
    let Some(architecture) = ARCHITECTURE else {
        return;
    };
    let mut program = program(architecture, duty);
    let filter = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: prctl with PR_SET_NO_NEW_PRIVS takes integers and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    let flags = match duty {
        Duty::Output => libc::SECCOMP_FILTER_FLAG_TSYNC,
        Duty::Signals | Duty::Keys => 0,
    };
    // SAFETY: `filter` refers to a live array of the length that it gives; the kernel copies it.
    unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, ptr::from_ref(&filter)) };
}

/// The filter as a program of classic BPF.
fn program(architecture: u32, duty: Duty) -> Vec<libc::sock_filter> {
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let writing = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_PATH) as u32;
    let mut program = vec![
        load(ARCHITECTURE_AT),
        skip_if_equal(architecture, 1),
        end(REFUSE),
        load(NUMBER),
        // Opening is looked at more closely.
        skip_unless_equal(libc::SYS_openat as u32, 4),
        load(THIRD_ARGUMENT),
        skip_if_any(writing, 1),
        end(ALLOW),
        end(REFUSE),
    ];
    for call in duty.calls() {
        program.push(skip_unless_equal(call as u32, 1));
        program.push(end(ALLOW));
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
            super::confine(super::Duty::Signals);
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
}
