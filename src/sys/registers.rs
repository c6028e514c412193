//! Vector registers, which keep parts of what was copied, compared or decrypted last.

use std::arch::asm;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__cpuid;

/// Sets all vector registers to their initial state, as for a new process.
#[cfg(target_arch = "x86_64")]
pub fn clear_registers() {
    /// An image of XSAVE, of which the header says that every component is in its initial state. Only the control
    /// registers are read from it nevertheless (Intel SDM, volume 1, 13.8).
    #[repr(C, align(64))]
    struct Image {
        control: u16,
        others: [u16; 11],
        vector_control: u32,
        rest: [u32; 137],
    }
    static INITIAL: Image = Image {
        control: 0x037f,
        others: [0; 11],
        vector_control: 0x1f80,
        rest: [0; 137],
    };
    /// x87, SSE, AVX, and the three components of AVX-512.
    const COMPONENTS: u32 = 0b1110_0111;
    /// That the system has put XSAVE into service (Intel SDM, volume 2, CPUID, leaf 1, ECX).
    const OSXSAVE: u32 = 1 << 27;
    // Asked for alone: a processor is asked for all it can in 0.04 ms where a hypervisor answers.
    if __cpuid(1).ecx & OSXSAVE != 0 {
        // SAFETY: the system supports XSAVE, the image is aligned and as large as its standard form, and every register
        // that changes is declared as such; the control registers get the values that the ABI starts with.
        unsafe {
            asm!("xrstor64 [{}]", in(reg) &INITIAL, in("eax") COMPONENTS, in("edx") 0, clobber_abi("sysv64"));
        }
    } else {
        // SAFETY: as above; every x86-64 has FXRSTOR, which reads the first 512 bytes.
        unsafe { asm!("fxrstor64 [{}]", in(reg) &INITIAL, clobber_abi("sysv64")) };
    }
}

/// Sets all vector registers to zero.
#[cfg(target_arch = "aarch64")]
pub fn clear_registers() {
    macro_rules! clear {
        ($($register:tt)*) => {
            // SAFETY: the instructions change vector registers only, and each is declared to be changed.
            unsafe { asm!($(concat!("movi ", $register, ".2d, #0"),)* $(out($register) _,)*) }
        };
    }
    clear!("v0" "v1" "v2" "v3" "v4" "v5" "v6" "v7" "v8" "v9" "v10" "v11" "v12" "v13" "v14" "v15"
        "v16" "v17" "v18" "v19" "v20" "v21" "v22" "v23" "v24" "v25" "v26" "v27" "v28" "v29" "v30" "v31");
}

/// Does nothing on a processor that is not known here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn clear_registers() {}
