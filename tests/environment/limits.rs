//! The kernel's limits on one variable and on the total: a refusal of ours before the command.

use super::{HIDDEN, OneLevel, entries, refused_unseen};

/// The most bytes that Linux takes for one `NAME=value`, without the NUL behind it.
const LARGEST: usize = 128 * 1024 - 1;

/// A level with one variable of `size` bytes, its name and `=` included.
fn of_size(name: &str, size: usize) -> OneLevel {
    let value = "x".repeat(size - name.len() - 1);
    OneLevel::env(&format!("SMALL={HIDDEN}\n{name}={value}\n"))
}

pub fn a_variable_of_128_kib_is_the_largest() {
    for mode in ["--exec", "--supervise"] {
        let largest = of_size("BIG_ONE", LARGEST);
        let run = largest.run().args([mode, "--clean-env"]);
        let sizes: Vec<_> = entries(run).iter().map(Vec::len).collect();
        assert_eq!(sizes, ["SMALL=".len() + HIDDEN.len(), LARGEST]);
        for size in [LARGEST + 1, LARGEST + 2, 10 * LARGEST] {
            let level = of_size("BIG_ONE", size);
            refused_unseen(level.run().arg(mode), &["BIG_ONE", &size.to_string()]);
        }
    }
}

pub fn a_variable_that_is_too_large_points_to_files() {
    refused_unseen(
        of_size("BIG_ONE", LARGEST + 1).run(),
        &["BIG_ONE", "--file"],
    );
}

pub fn the_limit_on_one_variable_counts_bytes() {
    let value = "\u{20ac}".repeat((LARGEST - 2) / 3);
    let fits = OneLevel::env(&format!("V={value}"));
    let run = fits.run().arg("--clean-env");
    assert_eq!(entries(run)[0].len(), 2 + value.len());
    OneLevel::env(&format!("V={value}\u{20ac}"))
        .run()
        .refuses(125, &["V"]);
}

/// With room for 256 KiB, whatever the total: either the command runs, or we name a variable. The
/// kernel's own refusal would be a command that cannot be executed, 126.
pub fn a_total_that_the_kernel_would_not_take_is_our_refusal() {
    const ROOM: usize = 256 * 1024;
    let mut ran = 0;
    let mut refusals = 0;
    let margins = (0..512)
        .step_by(8)
        .chain([1024, 2048, 4096, 8192, 12_288, 16_384]);
    for total in margins.map(|margin| ROOM - margin).chain([ROOM + 1024]) {
        let largest = "x".repeat(100_000);
        let rest = "y".repeat(total - 2 * 100_000);
        let level = OneLevel::env(&format!(
            "FIRST={largest}\nSECOND=x{largest}\nTHIRD={rest}\n"
        ));
        let run = level.run().arg("--clean-env").args(["--", "true"]);
        let outcome = run.under(["sh", "-c", "ulimit -s 1024; exec \"$@\"", "sh"]);
        let outcome = outcome.finish();
        if outcome.status.success() {
            ran += 1;
        } else {
            outcome.assert_refused(125, &["SECOND"]);
            refusals += 1;
        }
    }
    assert!(ran > 2 && refusals > 2, "{ran} ran, {refusals} did not");
}

/// Without a limit on the stack, the kernel's limit is 6 MiB.
pub fn the_total_is_limited_whatever_the_stack_may_be() {
    let run = |count: usize| {
        let line = |n| format!("V{n}={}\n", "x".repeat(120_000 - n));
        let level = OneLevel::env(&(0..count).map(line).collect::<String>());
        let wrapper = ["sh", "-c", "ulimit -s unlimited && exec \"$@\"", "sh"];
        (level.run().arg("--clean-env").under(wrapper), level)
    };
    let (fits, _level) = run(52);
    assert_eq!(entries(fits).len(), 52);
    let (too_many, _level) = run(53);
    too_many.refuses(125, &["V0"]);
}

pub fn arguments_count_towards_the_total() {
    let level = of_size("BIG_ONE", 100_000);
    let wrapper = ["sh", "-c", "ulimit -s 1024; exec \"$@\"", "sh"];
    let run = |arguments: usize| {
        let argument = "x".repeat(70_000);
        let words = std::iter::repeat_n(argument, arguments);
        let run = level.run().arg("--clean-env").args(["--", "true"]);
        run.args(words).under(wrapper).finish()
    };
    run(2).assert_status(0);
    run(3).assert_refused(125, &["BIG_ONE"]);
}
