//! Programs that are taken over by the value of one variable: each entry of the table of refused names that can be tried
//! on a machine makes a real program run something, or load a file that the value names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use super::OneLevel;
use crate::support::*;

/// The name, a value, and a script for a shell with a program that the value takes over. `DIR` is a directory with what
/// [`PLANTED`] lists, in which the script runs.
type Trial = (&'static str, &'static str, &'static str);

/// What a program that was taken over shows, unless it leaves a file `marker`.
const TAKEN: &str = "taken-over";

/// Files that a value can name.
const PLANTED: &[(&str, &str)] = &[
    (
        "cargo/config.toml",
        "[alias]\nx = \"version --taken-over\"\n",
    ),
    (
        "crate/Cargo.toml",
        "[package]\nname = \"c\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    ),
    ("crate/src/main.rs", "fn main() {}\n"),
    ("apt.conf", "Taken::x \"taken-over\";\n"),
    ("empty/x", ""),
    ("f.f", ""),
    ("gemrc", "---\n:gemhome: /taken-over\n"),
    ("home/.bashrc", "echo taken-over\n"),
    ("home/.curlrc", "taken-over\n"),
    ("home/.gitconfig", "[alias]\nx = !echo taken-over\n"),
    ("home/.vimrc", "!>marker\n"),
    ("home/.zshenv", "echo taken-over\n"),
    ("home/git/config", "[alias]\nx = !echo taken-over\n"),
    ("i.c", "#include <taken.h>\n"),
    ("i.cc", "#include <taken.h>\n"),
    ("less.txt", "x\n"),
    (
        "lib/Taken.pm",
        "package Taken; print \"taken-over\\n\"; 1;\n",
    ),
    ("lib/init.tcl", "puts taken-over\n"),
    ("lib/php.ini", "auto_prepend_file=/taken-over\n"),
    (
        "lib/pkgIndex.tcl",
        "package ifneeded taken 1 {puts taken-over}\n",
    ),
    ("lib/sitecustomize.py", "print(\"taken-over\")\n"),
    ("lib/taken.h", "taken-over\n"),
    ("lib/taken.js", "console.log(\"taken-over\")\n"),
    ("lib/taken.lua", "print(\"taken-over\")\n"),
    (
        "lib/taken.pc",
        "Name: t\nDescription: t\nVersion: 1\nCflags: -Itaken-over\n",
    ),
    (
        "lib/taken.py",
        "print(\"taken-over\")\nbuild_time_vars = {}\n",
    ),
    ("lib/taken.rb", "puts \"taken-over\"\n"),
    ("lib/taken.sh", "echo taken-over\n"),
    ("lib/taken.tmac", ".tm taken-over\n"),
    ("lib/takenf", "echo taken-over\n"),
    (
        "lib/takenfish.fish",
        "function takenfish; echo taken-over; end\n",
    ),
    ("lib/takenk", "function takenk { echo taken-over; }\n"),
    (
        "lib2/taken.py",
        "print(\"taken-over\")\nclass x(Warning): pass\n",
    ),
    ("other.rake", "puts \"taken-over\"\n"),
    ("Rakefile", "#\n"),
    (
        "pkg/package.json",
        "{\"scripts\": {\"x\": \"node -e 0\"}}\n",
    ),
    ("s.S", ""),
    ("t.t", "print \"1..1\\nok 1\\n\";\n"),
    ("taken-over/x", ""),
    ("taken.mk", "$(info taken-over)\n"),
    ("taken.php", "x\n"),
    (
        "user/lib/PYTHON/site-packages/usercustomize.py",
        "print(\"taken-over\")\n",
    ),
    ("vim/defaults.vim", "!>marker\n"),
    ("vim/filetype.vim", "!>marker\n"),
    ("vim/vimrc", "!>marker\n"),
    ("wgetrc", "taken-over = 1\n"),
    ("x.c", ""),
    ("xdg/fish/config.fish", "echo taken-over\n"),
    ("xdg/fish/vendor_conf.d/t.fish", "echo taken-over\n"),
    ("y.cc", ""),
    ("z.s", ""),
];

/// The part of a user's packages that is called by the version.
static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let shows = "import sys; print('python%d.%d' % sys.version_info[:2])";
    match tool("python3") {
        Ok(()) => Run::program("python3")
            .args(["-c", shows])
            .finish()
            .text()
            .trim()
            .to_owned(),
        Err(_) => String::new(),
    }
});

/// Programs that do nothing but show that they run; the kernel cannot execute the last one.
const SCRIPTS: &str = "
    mkdir -p bin java/bin template/hooks
    for script in script failing bin/tool bin/git-tool bin/as bin/cc1 bin/grotty bin/troff java/bin/java \
        template/hooks/pre-commit; do
        printf '#!/bin/sh\\necho taken-over >&2\\necho taken-over\\n' >$script && chmod +x $script || exit
    done
    echo exit 1 >>failing
    echo true >noexec && chmod +x noexec";

/// Repositories, an alias in one of them, and a key with a passphrase.
const PREPARED: &str = "
    for repo in repo repo2; do
        git init -q $repo && cd $repo && git config user.name a && git config user.email b &&
        echo 1 >f && git add f && git commit -qm 1 && echo 2 >f; cd ..
    done
    git -C repo2 config alias.x '!echo taken-over'
    ssh-keygen -q -t ed25519 -N abcdef -f enckey";

/// By the end of the name of their test.
#[rustfmt::skip]
const TRIALS: &[(&str, &[Trial])] = &[
    ("the_loader", &[
        ("LD_PRELOAD", "/taken-over.so", "true"),
        ("LD_AUDIT", "/taken-over.so", "true"),
        ("GLIBC_TUNABLES", "taken-over", "LD_SHOW_AUXV=1 true; env | grep TUN"),
        ("LOCPATH", "DIR/taken-over", "strace -e trace=openat env LC_ALL=xx_YY locale"),
    ]),
    ("a_posix_shell", &[
        ("ENV", "DIR/script", "dash -i -c :"),
        ("PS1", "$(>marker)", "echo : | dash -i"),
        ("PS2", "$(>marker)", r#"printf 'if :\nthen :\nfi\n' | dash -i"#),
        ("PS4", "${X:-taken-over}", "dash -xc :"),
        ("PATH", "DIR/bin:/usr/bin:/bin", "env tool"),
        ("SHELL", "DIR/script", "timeout 5 vim -es -c '!true' -c q"),
    ]),
    ("bash", &[
        ("BASH_ENV", "DIR/script", "bash -c :"),
        ("SHELLOPTS", "verbose", "bash -c ': taken-over'"),
        ("BASHOPTS", "xpg_echo", r#"bash -c 'echo '"'"'taken\055over'"'"''"#),
        ("PROMPT_COMMAND", ">marker", "bash --norc -i"),
        ("PS0", "$(>marker)", "echo : | bash --norc -i"),
        ("PS1", "$(>marker)", "bash --norc -i"),
        ("PS2", "$(>marker)", r#"printf 'if :\nthen :\nfi\n' | bash --norc -i"#),
        ("INPUTRC", "DIR/taken-over", "strace -f -e trace=openat bash --norc -i"),
        ("HOME", "DIR/home", "bash -i -c :"),
    ]),
    ("zsh", &[
        ("ZDOTDIR", "DIR/home", "zsh -c :"),
        ("HOME", "DIR/home", "zsh -c :"),
        ("FPATH", "DIR/lib", "zsh -fc 'autoload takenf; takenf'"),
        ("NULLCMD", "DIR/script", "zsh -fc '>x'"),
        ("READNULLCMD", "DIR/script", "zsh -fc '</dev/null'"),
        ("TMPPREFIX", "DIR/taken-over", "zsh -fc 'echo =(:)'"),
        ("PS1", "$(>marker)", "echo : | zsh --emulate sh -i"),
        ("DIRSTACKSIZE", "UID[$(:>marker)0]", "zsh -fc 'cd .; :'"),
        ("PERIOD", "UID[$(:>marker)0]", "echo /bin/true | zsh -fi"),
        ("REPORTMEMORY", "UID[$(:>marker)0]", "echo /bin/true | zsh -fi"),
        ("REPORTTIME", "UID[$(:>marker)0]", "echo /bin/true | zsh -fi"),
        ("PROMPT_EOL_MARK", "$(:>marker)", "echo : | zsh --emulate sh -fi"),
        ("MAILCHECK", "UID[$(:>marker)0]", "echo : | zsh --emulate sh -fi"),
    ]),
    ("ksh93", &[
        ("ENV", "DIR/script", "ksh93 -i -c :"),
        ("FPATH", "DIR/lib", "ksh93 -c takenk"),
    ]),
    ("mksh", &[
        ("ENV", "DIR/script", "mksh -i -c :"),
        ("EXECSHELL", "DIR/script", "mksh -c ./noexec"),
    ]),
    ("yash", &[
        ("PROMPT_COMMAND", ">marker", "echo : | timeout 5 yash --norcfile -i"),
        ("YASH_LOADPATH", "DIR/lib", "yash -c '. -AL taken.sh'"),
        ("COMMAND_NOT_FOUND_HANDLER", "echo taken-over", "yash -c nosuchthing"),
        ("YASH_AFTER_CD", "echo taken-over", "yash -c 'cd .'"),
        ("PS1S", "$(>marker)", "echo : | timeout 5 yash --norcfile -i"),
        ("PS1R", "$(>marker)", "echo : | timeout 5 yash --norcfile -i"),
        ("ENV", "DIR/script", "echo : | timeout 5 yash --posix -i"),
        ("YASH_PS1", "$(:>marker)", "echo : | timeout 5 yash --norcfile -i"),
    ]),
    ("busybox", &[
        ("ENV", "DIR/script", "busybox sh -i -c :"),
        ("PS1", "$(>marker)", "echo : | busybox sh -i"),
        ("PS4", "$(:>marker)", "echo 'set -x; :' | busybox sh -i"),
        ("PS2", "$(:>marker)", r#"printf 'if :\nthen :\nfi\n' | busybox sh -i"#),
    ]),
    ("fish", &[
        ("XDG_CONFIG_HOME", "DIR/xdg", "fish -c :"),
        ("XDG_DATA_DIRS", "DIR/xdg", "fish -c :"),
        ("XDG_DATA_HOME", "DIR/xdg", "fish -c :"),
        ("fish_function_path", "DIR/lib", "fish -c takenfish"),
    ]),
    ("node", &[
        ("NODE_OPTIONS", "--require=DIR/lib/taken.js", "node -e 0"),
        ("NODE_PATH", "DIR/lib", r#"node -e 'require("taken")'"#),
        ("NODE_REPL_EXTERNAL_MODULE", "DIR/lib/taken.js", "node -i"),
    ]),
    ("python", &[
        ("PYTHONSTARTUP", "DIR/lib/taken.py", "echo | python3 -i"),
        ("PYTHONPATH", "DIR/lib", "python3 -c 0"),
        ("PYTHONHOME", "DIR/taken-over", "python3 -c 0"),
        ("PYTHONUSERBASE", "DIR/user", "python3 -c 0"),
        ("PYTHONBREAKPOINT", "os.system", r#"python3 -c 'breakpoint("echo taken-over")'"#),
        ("BROWSER", "DIR/script", "python3 -c 'import antigravity'"),
        ("PYTHONPYCACHEPREFIX", "DIR/taken-over", "python3 -c 'import sys;print(sys.pycache_prefix)'"),
        ("PYTHONPLATLIBDIR", "taken-over", "python3 -c 'import sys;print(sys.platlibdir)'"),
        ("_PYTHON_SYSCONFIGDATA_NAME", "taken", r#"cd lib; python3 -c "import sysconfig,sys; sys.path.insert(0,\"\"); sysconfig.get_config_vars()""#),
        ("_PYTHON_PROJECT_BASE", "DIR/taken-over", r#"python3 -c 'import sysconfig;print(sysconfig.get_config_var("projectbase"))'"#),
        ("PYTHONEXECUTABLE", "DIR/taken-over", "python3 -c 'import sys;print(sys.executable)'"),
        ("PYTHONWARNINGS", "default::taken.x", "PYTHONPATH=lib2 python3 -c 0"),
        ("PIP_CONFIG_FILE", "DIR/taken-over.conf", "python3 -m pip config debug"),
        ("PIP_PYTHON", "DIR/script", "python3 -m pip list"),
    ]),
    ("perl", &[
        ("PERL5OPT", "-Mlib=DIR/lib -MTaken", "perl -e 0"),
        ("PERL5LIB", "DIR/lib", "perl -e 'require Taken'"),
        ("PERLLIB", "DIR/lib", "perl -e 'require Taken'"),
        ("PERL5DB", r#"BEGIN { print "taken-over" }"#, "perl -d -e 0"),
        ("PERLDB_OPTS", "NonStop AutoTrace LineInfo=marker", "perl -d -e 0"),
        ("PERL_USE_UNSAFE_INC", "1", r#"cd lib; perl -e "require Taken""#),
        ("HARNESS_PERL", "DIR/script", "prove t.t"),
        ("HARNESS_PERL_SWITCHES", "-IDIR/lib -MTaken", "prove -v t.t"),
    ]),
    ("ruby", &[
        ("RUBYOPT", "-rDIR/lib/taken", "ruby -e 0"),
        ("RUBYLIB", "DIR/lib", r#"ruby -e 'require "taken"'"#),
        ("GEM_HOME", "DIR/taken-over", "gem env"),
        ("GEM_PATH", "DIR/taken-over", "gem env"),
        ("GEMRC", "DIR/gemrc", "strace -f -e trace=openat gem env"),
        ("IRBRC", "DIR/lib/taken.rb", "echo | irb"),
        ("RUBYPATH", "DIR/lib", "ruby -S taken.rb"),
        ("DLN_LIBRARY_PATH", "DIR/taken-over", r#"ruby -e 'print ENV["DLN_LIBRARY_PATH"]; p $:'"#),
        ("RAKEOPT", "-f DIR/other.rake", "rake"),
    ]),
    ("java", &[
        ("JAVA_TOOL_OPTIONS", "-Dtaken-over=1", "java -version"),
        ("_JAVA_OPTIONS", "-Dtaken-over=1", "java -version"),
        ("JDK_JAVA_OPTIONS", "-Dtaken-over=1", "java -version"),
        ("JDK_JAVAC_OPTIONS", "--taken-over", "javac -version"),
        ("CLASSPATH", "DIR/taken-over", "java -XshowSettings:properties -version"),
    ]),
    ("maven", &[
        ("JAVA_HOME", "DIR/java", "mvn -v"),
        ("MAVEN_OPTS", "-Dx -version:taken-over", "mvn -v"),
    ]),
    ("lua", &[
        ("LUA_INIT", r#"print("taken-over")"#, "lua -e x=0"),
        ("LUA_PATH", "DIR/lib/?.lua", r#"lua -e 'require "taken"'"#),
        ("LUA_CPATH", "DIR/taken-over/?.so", r#"lua -e 'require "taken"'"#),
        ("LUA_INIT_5_4", r#"print("taken-over")"#, "lua -e x=0"),
        ("LUA_PATH_5_4", "DIR/lib/?.lua", r#"lua -e 'require "taken"'"#),
    ]),
    ("php", &[
        ("PHPRC", "DIR/lib", "php taken.php"),
        ("PHP_INI_SCAN_DIR", "DIR/lib", "php taken.php"),
    ]),
    ("tcl", &[
        ("TCLLIBPATH", "DIR/lib", r#"echo "package require taken" | tclsh"#),
        ("TCL_LIBRARY", "DIR/lib", "echo | tclsh"),
    ]),
    ("git", &[
        ("GIT_EXEC_PATH", "DIR/bin", "git tool"),
        ("GIT_SSH_COMMAND", ">marker;:", "git ls-remote ssh://127.0.0.1:1/x"),
        ("GIT_SSH", "DIR/script", "git ls-remote ssh://127.0.0.1:1/x"),
        ("GIT_PROXY_COMMAND", "DIR/script", "git ls-remote git://127.0.0.1:1/x"),
        ("GIT_ASKPASS", "DIR/script", r#"printf "protocol=https\nhost=x\n\n" | git credential fill"#),
        ("SSH_ASKPASS", "DIR/script", r#"printf "protocol=https\nhost=x\n\n" | git credential fill"#),
        ("GIT_EXTERNAL_DIFF", ">marker;:", "git -C repo diff"),
        ("EDITOR", ">marker;:", "git -C repo commit --allow-empty"),
        ("VISUAL", ">marker;:", "EDITOR=true TERM=xterm git -C repo commit --allow-empty"),
        ("GIT_CONFIG_PARAMETERS", "'alias.x=!>marker'", "git x"),
        ("GIT_CONFIG_GLOBAL", "DIR/home/.gitconfig", "git x"),
        ("GIT_CONFIG_SYSTEM", "DIR/home/.gitconfig", "git x"),
        ("HOME", "DIR/home", "git x"),
        ("XDG_CONFIG_HOME", "DIR/home", "git x"),
        ("GIT_CONFIG_KEY_0", "alias.x", "GIT_CONFIG_COUNT=1 GIT_CONFIG_VALUE_0='!echo taken-over' git x"),
        ("GIT_CONFIG_VALUE_0", "!echo taken-over", "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=alias.x git x"),
        ("GIT_DIR", "DIR/repo2/.git", "git x"),
        ("GIT_COMMON_DIR", "DIR/repo2/.git", "git -C repo x"),
        ("GIT_TEMPLATE_DIR", "DIR/template", "git init -q new && cd new && git -c user.name=a -c user.email=b commit -qm x --allow-empty"),
        ("GIT_DIFFTOOL_EXTCMD", ">marker;:", "git -C repo -c diff.tool=x -c difftool.x.cmd=true difftool -y"),
        ("GIT_WORK_TREE", "DIR/taken-over", "git -C repo rev-parse --show-toplevel"),
        ("GIT_INDEX_FILE", "DIR/taken-over/index", "git -C repo rev-parse --git-path index"),
        ("GIT_OBJECT_DIRECTORY", "DIR/taken-over", "git -C repo rev-parse --git-path objects"),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "DIR/taken-over", "git -C repo count-objects -v"),
        ("GIT_SEQUENCE_EDITOR", ">marker;:", "git -C repo rebase -i --autostash --root"),
        ("GIT_EDITOR", ">marker;:", "git -C repo commit --allow-empty"),
        ("GIT_CONFIG_COUNT", "1", "GIT_CONFIG_KEY_0=alias.x GIT_CONFIG_VALUE_0='!echo taken-over' git x"),
        ("GIT_PAGER", ">marker;:", "script -qec 'git -C repo -p log' /dev/null"),
        ("GIT_ALLOW_PROTOCOL", "ext", "git ls-remote 'ext::sh -c :>marker'"),
    ]),
    ("ssh", &[
        ("SSH_ASKPASS_REQUIRE", "force", "SSH_ASKPASS=./script ssh-keygen -yf enckey"),
        ("SSH_SK_HELPER", "DIR/script", "ssh-keygen -t ed25519-sk -N '' -f sk"),
        ("SSH_SK_PROVIDER", "DIR/taken-over.so", "ssh-keygen -t ed25519-sk -N '' -f sk"),
    ]),
    ("rsync", &[
        ("RSYNC_RSH", "DIR/script", "rsync 127.0.0.1:x ."),
        ("RSYNC_CONNECT_PROG", ">marker", "rsync rsync://127.0.0.1/x"),
        ("RSYNC_SHELL", "DIR/script", "RSYNC_CONNECT_PROG=true rsync rsync://127.0.0.1/x"),
    ]),
    ("dbus", &[
        ("DBUS_SESSION_BUS_ADDRESS", "unixexec:path=DIR/script", "busctl --user list"),
        ("DBUS_SYSTEM_BUS_ADDRESS", "unixexec:path=DIR/script", "busctl list"),
    ]),
    ("gpg", &[
        ("GNUPGHOME", "DIR/taken-over", "gpg --list-keys"),
    ]),
    ("vim", &[
        ("SHELL", "DIR/script", "vim -es -c '!true' -c q"),
        ("VIMINIT", "!>marker", "timeout 5 vim -c q"),
        ("EXINIT", "!>marker", "timeout 5 vim -c q"),
        ("VIM", "DIR/vim", "timeout 5 vim -c q"),
        ("VIMRUNTIME", "DIR/vim", "timeout 5 vim -c q"),
        ("HOME", "DIR/home", "timeout 5 vim -c q"),
    ]),
    ("less", &[
        ("LESSOPEN", "|>marker; echo %s", "script -qc 'less -E less.txt' /dev/null"),
        ("LESSCLOSE", ">marker; echo %s %s", r#"script -qc 'env LESSOPEN="echo %s" less -E less.txt' /dev/null"#),
        ("LESSKEYIN_SYSTEM", "DIR/taken-over", "strace -f -e trace=openat script -qc 'less -E less.txt' /dev/null"),
        ("LESSKEY", "DIR/taken-over", "strace -f -e trace=openat script -qc 'less -E less.txt' /dev/null"),
        ("LESSKEY_SYSTEM", "DIR/taken-over", "strace -f -e trace=openat script -qc 'less -E less.txt' /dev/null"),
    ]),
    ("man", &[
        ("PAGER", r#"sh -c ">marker""#, "timeout 5 script -qc 'man man' /dev/null"),
        ("MANOPT", "--pager=DIR/script", "PAGER=cat script -qc 'man man' /dev/null"),
        ("GROFF_TMAC_PATH", "DIR/lib", "echo x | groff -mtaken"),
        ("GROFF_COMMAND_PREFIX", "taken-over", "echo x | groff -Tascii"),
        ("GROFF_BIN_PATH", "DIR/bin", "echo x | groff -Tascii"),
        ("MANPAGER", r#"sh -c ">marker""#, "PAGER=cat script -qc 'man man' /dev/null"),
    ]),
    ("systemd", &[
        ("SYSTEMD_UNIT_PATH", "DIR/taken-over", "systemd-analyze unit-paths"),
    ]),
    ("make", &[
        ("MAKEFILES", "DIR/taken.mk", "make -f /dev/null"),
        ("CC", ">marker;:", "make -f /dev/null x.o"),
        ("CXX", ">marker;:", "make -f /dev/null y.o"),
        ("AS", ">marker;:", "make -f /dev/null z.o"),
        ("FC", ">marker;:", "make -f /dev/null f.o"),
        ("AR", ">marker;:", "make -f /dev/null 'lib.a(x.c)'"),
        ("CFLAGS", ";>marker", "make -f /dev/null x.o"),
        ("CPPFLAGS", ";>marker", "make -f /dev/null x.o"),
        ("CXXFLAGS", ";>marker", "make -f /dev/null y.o"),
        ("LDFLAGS", ";>marker", "make -f /dev/null x"),
        ("MAKE", ">marker;:", r#"printf "x:\n\t\$(MAKE) y\n" | make -f - x"#),
        ("MAKEFLAGS", "--eval=$(info taken-over)", "make -f /dev/null nothing"),
        ("GNUMAKEFLAGS", "--eval=$(info taken-over)", "make -f /dev/null nothing"),
    ]),
    ("gcc", &[
        ("GCC_EXEC_PREFIX", "DIR/bin/", "gcc -c x.c"),
        ("COMPILER_PATH", "DIR/bin", "gcc -c x.c"),
        ("LIBRARY_PATH", "DIR/taken-over", "gcc -v x.c"),
        ("CPATH", "DIR/lib", "gcc -E i.c"),
        ("C_INCLUDE_PATH", "DIR/lib", "gcc -E i.c"),
        ("CPLUS_INCLUDE_PATH", "DIR/lib", "g++ -E i.cc"),
    ]),
    ("pkg_config", &[
        ("PKG_CONFIG_PATH", "DIR/lib", "pkg-config --cflags taken"),
        ("PKG_CONFIG_LIBDIR", "DIR/lib", "pkg-config --cflags taken"),
    ]),
    ("cargo", &[
        ("RUSTC", "DIR/script", "cargo check CRATE"),
        ("RUSTC_WRAPPER", "DIR/script", "cargo check CRATE"),
        ("RUSTC_WORKSPACE_WRAPPER", "DIR/script", "cargo check CRATE"),
        ("CARGO_BUILD_RUSTC", "DIR/script", "cargo check CRATE"),
        ("CARGO_BUILD_RUSTC_WRAPPER", "DIR/script", "cargo check CRATE"),
        ("RUSTFLAGS", "--taken-over", "cargo check CRATE"),
        ("CARGO_BUILD_RUSTFLAGS", "--taken-over", "cargo check CRATE"),
        ("CARGO_ENCODED_RUSTFLAGS", "--taken-over", "cargo check CRATE"),
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "--taken-over", "cargo check CRATE"),
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "DIR/failing", "cargo rustc CRATE"),
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "DIR/script", "cargo run CRATE"),
        ("CARGO_ALIAS_X", "version --taken-over", "cargo x"),
        ("CARGO_HOME", "DIR/cargo", "cargo x"),
        ("CARGO_BUILD_TARGET", "taken-over", "cargo check CRATE"),
        ("CARGO_TARGET_DIR", "DIR/taken-over/new", "cargo check CRATE; find . -name CACHEDIR.TAG"),
        ("RUSTDOC", "DIR/script", "cargo doc CRATE"),
        ("RUSTDOCFLAGS", "--taken-over", "cargo doc CRATE"),
    ]),
    ("rustup", &[
        ("RUSTUP_TOOLCHAIN", "taken-over", "cargo -V"),
        ("RUSTUP_HOME", "DIR/taken-over", "rustup show home"),
    ]),
    ("npm", &[
        ("npm_config_script_shell", "DIR/script", "npm run x --prefix pkg"),
        ("NPM_CONFIG_SCRIPT_SHELL", "DIR/script", "npm run x --prefix pkg"),
        ("Npm_Config_script_shell", "DIR/script", "npm run x --prefix pkg"),
        ("npm_config_node_options", "--require=DIR/lib/taken.js", "npm run x --prefix pkg"),
    ]),
    ("go", &[
        ("GOFLAGS", "-taken-over", "go version"),
    ]),
    ("tar", &[
        ("TAR_OPTIONS", "--use-compress-program=DIR/script", "tar -cf out.tar x.c"),
        ("TAPE", "127.0.0.1:x", "tar -t --rsh-command=./script"),
    ]),
    ("zip", &[
        ("ZIPOPT", "-T -TT DIR/script", "zip z.zip x.c"),
        ("ZIP", "-T -TT DIR/script", "zip z.zip x.c"),
    ]),
    ("apt", &[
        ("APT_CONFIG", "DIR/apt.conf", "apt-config dump"),
    ]),
    ("openssl", &[
        ("OPENSSL_MODULES", "DIR/taken-over", "openssl list -providers -provider legacy"),
        ("OPENSSL_ENGINES", "DIR/taken-over", "openssl engine taken"),
        ("OPENSSL_CONF", "DIR/taken-over", "strace -f -e trace=openat openssl list -providers"),
    ]),
    ("curl", &[
        ("CURL_HOME", "DIR/home", "curl"),
        ("HOME", "DIR/home", "curl"),
        ("XDG_CONFIG_HOME", "DIR/home", "curl"),
    ]),
    ("wget", &[
        ("WGETRC", "DIR/wgetrc", "wget http://127.0.0.1:1/"),
        ("SYSTEM_WGETRC", "DIR/wgetrc", "wget http://127.0.0.1:1/"),
    ]),
];

macro_rules! tests_of_programs {
    ($($test:ident)*) => {$(
        pub fn $test() {
            let name = stringify!($test);
            let wanted = |(program, _): &&(&str, _)| name.ends_with(&format!("take_over_{program}"));
            let (_, trials) = TRIALS.iter().find(wanted).expect("trials");
            trials.iter().for_each(take_over);
        }
    )*};
}

tests_of_programs! {
    names_that_take_over_the_loader
    names_that_take_over_a_posix_shell
    names_that_take_over_bash
    names_that_take_over_zsh
    names_that_take_over_ksh93
    names_that_take_over_mksh
    names_that_take_over_yash
    names_that_take_over_busybox
    names_that_take_over_fish
    names_that_take_over_node
    names_that_take_over_python
    names_that_take_over_perl
    names_that_take_over_ruby
    names_that_take_over_java
    names_that_take_over_maven
    names_that_take_over_lua
    names_that_take_over_php
    names_that_take_over_tcl
    names_that_take_over_git
    names_that_take_over_ssh
    names_that_take_over_rsync
    names_that_take_over_dbus
    names_that_take_over_gpg
    names_that_take_over_vim
    names_that_take_over_less
    names_that_take_over_man
    names_that_take_over_systemd
    names_that_take_over_make
    names_that_take_over_gcc
    names_that_take_over_pkg_config
    names_that_take_over_cargo
    names_that_take_over_rustup
    names_that_take_over_npm
    names_that_take_over_go
    names_that_take_over_tar
    names_that_take_over_zip
    names_that_take_over_apt
    names_that_take_over_openssl
    names_that_take_over_curl
    names_that_take_over_wget
}

/// A value takes a program over that does not do the same without it.
#[track_caller]
fn take_over((name, value, script): &Trial) {
    assert!(!is_taken_over(None, script), "{script} does it by itself");
    assert!(
        is_taken_over(Some((name, value)), script),
        "{name} does nothing to {script}"
    );
}

fn is_taken_over(variable: Option<(&str, &str)>, script: &str) -> bool {
    let dir = TempDir::new();
    plant(dir.path());
    if ["repo", "enckey", "git x"]
        .iter()
        .any(|word| script.contains(word))
    {
        at_home(Run::shell(PREPARED), dir.path())
            .dir(dir.path())
            .finish();
    }
    let path = dir.path().to_str().expect("a path of ours");
    let script = script.replace("CRATE", "--manifest-path crate/Cargo.toml --offline");
    let run = at_home(Run::shell(&script), dir.path()).dir(dir.path());
    let run = match variable {
        Some((name, value)) => run.env(name, value.replace("DIR", path)),
        None => run,
    };
    let outcome = run.finish();
    let left = at_home(Run::shell("find . -name marker"), dir.path()).dir(dir.path());
    String::from_utf8_lossy(&outcome.stdout).contains(TAKEN)
        || outcome.stderr.contains(TAKEN)
        || !left.finish().text().is_empty()
}

/// With a home that is empty, but for the programs that are installed in one.
fn at_home(run: Run, dir: &Path) -> Run {
    let home = std::env::var("HOME").unwrap_or_default();
    let run = run.env("HOME", dir.join("empty")).env("TERM", "dumb");
    let installed = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")];
    installed.into_iter().fold(run, |run, (name, below)| {
        let default = Path::new(&home).join(below);
        match std::env::var_os(name) {
            Some(value) => run.env(name, value),
            None if default.is_dir() => run.env(name, default),
            None => run,
        }
    })
}

fn plant(dir: &Path) {
    for (name, content) in PLANTED {
        let path = dir.join(name.replace("PYTHON", &PYTHON));
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, content).expect("a file in a temporary directory");
    }
    // By another process: what this one has open for writing cannot be executed.
    Run::shell(SCRIPTS).dir(dir).finish().assert_status(0);
}

pub fn every_name_that_is_tried_is_refused() {
    let trials = TRIALS.iter().flat_map(|(_, trials)| trials.iter());
    let names: BTreeSet<_> = trials.map(|(name, ..)| *name).collect();
    let lines: Vec<_> = names.iter().map(|name| format!("{name}=1\n")).collect();
    let outcome = OneLevel::env(&lines.concat()).run().refuses(125, &[]);
    for name in names {
        assert!(
            outcome.stderr.contains(&format!(" {name} (")),
            "{name}\n{outcome}"
        );
    }
}
