//! The names whose value makes a widespread program run code, or load a file of the value's choosing.
//!
//! They are grouped by the program that they take over. A name stands here if its value, or a file that the value names,
//! decides what the program executes. A name that only changes what a program does (a proxy, a certificate, a locale, a log
//! level) does not, and neither do an application's own settings.

#![forbid(unsafe_code)]

use crate::error::{Error, UnsafeName};

/// Names that take over one program.
struct Group {
    /// The program, as messages and the manual name it.
    program: &'static str,
    /// The names; `*` stands for any characters, but for the first.
    names: &'static [&'static str],
    /// Whether the program takes them in any case.
    case: Case,
    /// The first characters that a name of the group may have, a bit each. Most names have none of most groups, which
    /// saves a start with many secrets most of the comparisons.
    initials: u128,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Exact,
    Any,
}

const fn group(program: &'static str, names: &'static [&'static str]) -> Group {
    Group {
        program,
        names,
        case: Case::Exact,
        initials: initials(names, Case::Exact),
    }
}

const fn group_in_any_case(program: &'static str, names: &'static [&'static str]) -> Group {
    Group {
        case: Case::Any,
        initials: initials(names, Case::Any),
        ..group(program, names)
    }
}

const fn initials(names: &[&str], case: Case) -> u128 {
    let mut initials = 0;
    let mut index = 0;
    while index < names.len() {
        let first = names[index].as_bytes()[0];
        initials |= 1 << first;
        if matches!(case, Case::Any) {
            initials |= 1 << first.to_ascii_uppercase() | 1 << first.to_ascii_lowercase();
        }
        index += 1;
    }
    initials
}

/// Refuses names that take over a program.
///
/// # Errors
///
/// If there are any that are not `allowed`.
pub fn refuse_unsafe<'a>(
    names: impl Iterator<Item = &'a str>,
    allowed: &[String],
) -> Result<(), Error> {
    let refused = names
        .filter(|name| !allowed.iter().any(|allowed| allowed == name))
        .filter_map(|name| {
            let name_of = |program| UnsafeName {
                name: name.to_owned(),
                program,
            };
            program_of(name).map(name_of)
        });
    let names: Vec<_> = refused.collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(Error::UnsafeNames { names })
    }
}

/// The program that a variable of this name takes over.
fn program_of(name: &str) -> Option<&'static str> {
    let initial = name.bytes().next().filter(u8::is_ascii)?;
    let is_match = |group: &Group, pattern: &[u8]| {
        group.case.is_same(pattern[0], initial) && group.case.matches(pattern, name.as_bytes())
    };
    let takes_over = |group: &&Group| {
        let mut patterns = group.names.iter().map(|pattern| pattern.as_bytes());
        let may_match = group.initials & (1 << initial) != 0;
        may_match && patterns.any(|pattern| is_match(group, pattern))
    };
    GROUPS.iter().find(takes_over).map(|group| group.program)
}

impl Case {
    fn is_same(self, letter: u8, other: u8) -> bool {
        letter == other || self == Case::Any && letter.eq_ignore_ascii_case(&other)
    }

    /// Whether a name matches a pattern.
    fn matches(self, pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([b'*', pattern @ ..], _) => {
                (0..=name.len()).any(|at| self.matches(pattern, &name[at..]))
            }
            ([letter, pattern @ ..], [other, name @ ..]) => {
                self.is_same(*letter, *other) && self.matches(pattern, name)
            }
            ([], []) => true,
            _ => false,
        }
    }
}

/// The table; the manual lists it.
#[rustfmt::skip]
const GROUPS: &[Group] = &[
    group("every program", &["PATH", "SHELL"]),
    group("where programs find their files", &[
        "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "XDG_DATA_DIRS", "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
    ]),
    group("loader and C library", &[
        "DYLD_*", "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LDR_*", "LD_*", "LIBPATH",
        "LOCALDOMAIN", "LOCPATH", "MALLOC_TRACE", "MUSL_LOCPATH", "NIS_PATH", "NLSPATH", "PATH_LOCALE",
        "RESOLV_HOST_CONF", "RES_OPTIONS", "SHLIB_PATH", "TERMCAP", "TERMINFO", "TERMINFO_DIRS", "TERMPATH", "TEXTDOMAINDIR",
        "TZDIR", "_RLD*",
    ]),
    group("shells", &[
        "BASHOPTS", "BASH_COMPLETION_*", "BASH_ENV", "BASH_FUNC_*", "BASH_LOADABLES_PATH", "CDPATH",
        "COMMAND_NOT_FOUND_HANDLER", "DIRSTACKSIZE", "ENV", "EXECSHELL", "FPATH", "GLOBIGNORE", "IFS", "INPUTRC",
        "MAILCHECK", "MAILPATH", "NULLCMD", "PERIOD", "POST_PROMPT_COMMAND", "PROMPT_COMMAND", "PROMPT_EOL_MARK", "PS0",
        "PS1", "PS1P", "PS1R", "PS1S", "PS2", "PS2P", "PS2R", "PS2S", "PS3", "PS4", "PS4P", "PS4R", "PS4S",
        "READNULLCMD", "REPORTMEMORY", "REPORTTIME", "SHELLOPTS", "TMPPREFIX", "YASH_AFTER_CD", "YASH_LOADPATH",
        "YASH_PS*", "ZDOTDIR", "fish_complete_path", "fish_function_path", "fish_user_paths",
    ]),
    group("Node", &[
        "BUN_INSPECT_PRELOAD", "BUN_OPTIONS", "DENO_DIR", "ELECTRON_RUN_AS_NODE", "NODE_COMPILE_CACHE", "NODE_OPTIONS",
        "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE", "TS_NODE_COMPILER", "TS_NODE_PROJECT",
    ]),
    group("Python", &[
        "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_PATH", "PIP_CONFIG_FILE", "PIP_PYTHON",
        "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONBREAKPOINT", "PYTHONEXECUTABLE", "PYTHONHOME", "PYTHONINSPECT",
        "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONWARNINGS",
        "PYTHON_PRESITE", "UV_CONFIG_FILE", "UV_PYTHON", "_PYTHON_PROJECT_BASE", "_PYTHON_SYSCONFIGDATA_NAME",
        "__PYVENV_LAUNCHER__",
    ]),
    group("Perl", &[
        "HARNESS_PERL", "HARNESS_PERL_SWITCHES", "HARNESS_SUBCLASS", "MODULEBUILDRC", "PERL5DB", "PERL5LIB", "PERL5OPT",
        "PERL5SHELL", "PERLDB_OPTS", "PERLDOC", "PERLDOC_PAGER", "PERLIO_DEBUG", "PERLLIB", "PERL_CPANM_OPT",
        "PERL_ENCODING", "PERL_MB_OPT", "PERL_MM_OPT", "PERL_USE_UNSAFE_INC",
    ]),
    group("Ruby", &[
        "BUNDLER_ORIG_*", "BUNDLER_SETUP", "BUNDLE_APP_CONFIG", "BUNDLE_CONFIG", "BUNDLE_GEMFILE", "BUNDLE_PATH",
        "BUNDLE_USER_CONFIG", "BUNDLE_USER_HOME", "BUNDLE_USER_PLUGIN", "DLN_LIBRARY_PATH", "GEMRC", "GEM_HOME", "GEM_PATH",
        "GEM_SPEC_CACHE", "IRBRC", "PRYRC", "RAKEOPT", "RAKE_SYSTEM", "RI_PAGER", "RUBYGEMS_GEMDEPS", "RUBYLIB",
        "RUBYLIB_PREFIX", "RUBYOPT", "RUBYPATH", "RUBYSHELL", "RUBY_DEBUG_*", "SPEC_OPTS",
    ]),
    group("Java", &[
        "CATALINA_BASE", "CATALINA_HOME", "CATALINA_OPTS", "CLASSPATH", "IBM_JAVA_OPTIONS", "JAVACMD", "JAVA_HOME",
        "JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVAC_OPTIONS", "JDK_JAVA_OPTIONS", "JRE_HOME", "OPENJ9_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
    ]),
    group("Lua", &[
        "LUAROCKS_CONFIG*", "LUA_CPATH", "LUA_CPATH_*", "LUA_INIT", "LUA_INIT_*", "LUA_PATH", "LUA_PATH_*",
    ]),
    group("PHP", &[
        "COMPOSER", "COMPOSER_BIN_DIR", "COMPOSER_HOME", "COMPOSER_VENDOR_DIR", "PHPRC", "PHP_INI_SCAN_DIR",
    ]),
    group("R", &[
        "R_BROWSER", "R_DEFAULT_DEVICE", "R_DEFAULT_PACKAGES", "R_ENVIRON", "R_ENVIRON_USER", "R_GSCMD", "R_HOME",
        "R_LIBS", "R_LIBS_SITE", "R_LIBS_USER", "R_MAKEVARS_SITE", "R_MAKEVARS_USER", "R_PDFVIEWER", "R_PRINTCMD",
        "R_PROFILE", "R_PROFILE_USER", "R_TESTS", "R_UNZIPCMD", "R_ZIPCMD",
    ]),
    group("other interpreters", &[
        "AWKLIBPATH", "AWKPATH", "CAML_LD_LIBRARY_PATH", "CORECLR_PROFILER*", "COR_PROFILER*", "DOTNET_ADDITIONAL_DEPS",
        "DOTNET_ROOT", "DOTNET_ROOT_*", "DOTNET_SHARED_STORE", "DOTNET_STARTUP_HOOKS", "ELIXIR_ERL_OPTIONS", "ERL_AFLAGS",
        "ERL_FLAGS", "ERL_LIBS", "ERL_ZFLAGS", "GHC_ENVIRONMENT", "GHC_PACKAGE_PATH", "GUILE_LOAD_COMPILED_PATH",
        "GUILE_LOAD_PATH", "JULIA_DEPOT_PATH", "JULIA_LOAD_PATH", "JULIA_PROJECT", "MIX_ARCHIVES", "MIX_EXS", "MIX_HOME",
        "MONO_CONFIG", "MONO_ENV_OPTIONS", "MONO_PATH", "OCAMLLIB", "OCAMLPATH", "PSModulePath", "TCLLIBPATH", "TCL_LIBRARY",
        "TK_LIBRARY",
    ]),
    group("git and other version control", &[
        "BZR_EDITOR", "BZR_SSH", "CVSEDITOR", "CVS_RSH", "GH_BROWSER", "GH_CONFIG_DIR", "GH_EDITOR", "GH_PAGER", "GITPERLLIB",
        "GIT_ALLOW_PROTOCOL", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_ASKPASS", "GIT_COMMON_DIR", "GIT_CONFIG",
        "GIT_CONFIG_*", "GIT_DIFFTOOL_EXTCMD", "GIT_DIFF_TOOL", "GIT_DIR", "GIT_EDITOR", "GIT_EXEC_PATH",
        "GIT_EXTERNAL_DIFF", "GIT_INDEX_FILE", "GIT_MERGE_TOOL", "GIT_OBJECT_DIRECTORY", "GIT_PAGER",
        "GIT_PROXY_COMMAND", "GIT_SEQUENCE_EDITOR", "GIT_SHELL_PATH", "GIT_SSH", "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT", "GIT_TEMPLATE_DIR", "GIT_WORK_TREE", "HGEDITOR", "HGMERGE", "HGRCPATH", "JJ_CONFIG",
        "JJ_EDITOR", "P4DIFF", "P4EDITOR", "P4MERGE", "SVN_EDITOR", "SVN_MERGE", "SVN_SSH",
    ]),
    group("ssh and other remote access", &[
        "DBUS_SESSION_BUS_ADDRESS", "DBUS_STARTER_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "GNUPGHOME", "GSS_MECH_CONFIG",
        "KRB5_CONFIG*", "RSYNC_CONNECT_PROG", "RSYNC_RSH", "RSYNC_SHELL", "SASL_PATH", "SSH_ASKPASS",
        "SSH_ASKPASS_REQUIRE", "SSH_PKCS11_HELPER", "SSH_SK_HELPER", "SSH_SK_PROVIDER", "SUDO_ASKPASS",
    ]),
    group("editors", &[
        "ALTERNATE_EDITOR", "EDITOR", "EMACSDATA", "EMACSLOADPATH", "EMACSPATH", "ESHELL", "EXINIT", "FCEDIT", "GVIMINIT",
        "HISTEDIT", "KUBE_EDITOR", "LESSEDIT", "NVIM_APPNAME", "PSQL_EDITOR", "SUDO_EDITOR", "SYSTEMD_EDITOR", "TEXEDIT",
        "VIM", "VIMINIT", "VIMRUNTIME", "VISUAL",
    ]),
    group("pagers and browsers", &[
        "AWS_PAGER", "BAT_CONFIG_DIR", "BAT_CONFIG_PATH", "BAT_PAGER", "BROWSER", "DELTA_PAGER", "FZF_DEFAULT_COMMAND",
        "FZF_DEFAULT_OPTS", "FZF_DEFAULT_OPTS_FILE", "GROFF_BIN_PATH", "GROFF_COMMAND_PREFIX", "GROFF_FONT_PATH",
        "GROFF_TMAC_PATH", "LESS", "LESSCLOSE", "LESSECHO", "LESSKEY", "LESSKEYIN", "LESSKEYIN_SYSTEM", "LESSKEY_CONTENT",
        "LESSKEY_SYSTEM", "LESSOPEN", "MAILCAPS", "MANOPT", "MANPAGER", "MANROFFOPT", "PAGER", "PSQLRC", "PSQL_PAGER",
        "RIPGREP_CONFIG_PATH", "SCREENRC", "SYSSCREENRC", "SYSTEMD_LESS", "SYSTEMD_PAGER",
    ]),
    group("make and C compilers", &[
        "ACLOCAL_PATH", "AR", "AR_*_linux_*", "AS", "CC", "CCACHE_*", "CCC_OVERRIDE_OPTIONS", "CC_*_linux_*", "CFLAGS",
        "CFLAGS_*_linux_*", "CMAKE_*_LAUNCHER", "CMAKE_PREFIX_PATH", "CMAKE_TOOLCHAIN_FILE", "COMPILER_PATH",
        "CONFIG_SHELL", "CONFIG_SITE", "CPATH", "CPLUS_INCLUDE_PATH", "CPP", "CPPFLAGS", "CXX", "CXXFLAGS",
        "CXXFLAGS_*_linux_*", "CXX_*_linux_*", "C_INCLUDE_PATH", "FC", "GCC_EXEC_PREFIX", "GNUMAKEFLAGS", "HOST_CC",
        "HOST_CXX", "LDFLAGS", "LIBRARY_PATH", "M4PATH", "MAKE", "MAKEFILES", "MAKEFLAGS", "MFLAGS", "OBJC_INCLUDE_PATH",
        "PKG_CONFIG", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR", "SCONSFLAGS", "TARGET_CC",
        "TARGET_CXX", "USE_BAZEL_VERSION", "VALGRIND_LIB", "VALGRIND_OPTS",
    ]),
    group("cargo and rustc", &[
        "CARGO", "CARGO_ALIAS_*", "CARGO_BUILD_BUILD_DIR", "CARGO_BUILD_RUSTC*", "CARGO_BUILD_RUSTDOC*",
        "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_TARGET_DIR", "CARGO_CREDENTIAL_ALIAS_*",
        "CARGO_DOC_BROWSER", "CARGO_ENCODED_RUSTDOCFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_HOME", "CARGO_HOST_*",
        "CARGO_PROFILE_*_RUSTFLAGS", "CARGO_REGISTRIES_*_CREDENTIAL_PROVIDER", "CARGO_REGISTRY_CREDENTIAL_PROVIDER",
        "CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS", "CARGO_TARGET_*_LINKER", "CARGO_TARGET_*_RUNNER",
        "CARGO_TARGET_*_RUSTDOCFLAGS", "CARGO_TARGET_*_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC", "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "RUSTDOC", "RUSTDOCFLAGS", "RUSTFLAGS", "RUSTUP_DIST_SERVER",
        "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "RUSTUP_UPDATE_ROOT",
    ]),
    group_in_any_case("npm, pnpm and yarn", &[
        "COREPACK_ENV_FILE", "COREPACK_HOME", "COREPACK_NPM_REGISTRY", "npm_config_*", "pnpm_config_*", "yarn_rc_filename",
        "yarn_script_shell", "yarn_yarn_path",
    ]),
    group("Go", &[
        "CGO_*FLAGS*", "GCCGO", "GOAUTH", "GOBIN", "GOCACHE", "GOCACHEPROG", "GOENV", "GOFLAGS", "GOMODCACHE", "GOPATH",
        "GOROOT", "GOTOOLCHAIN", "GOTOOLDIR", "GOVCS", "GOWORK", "GO_EXTLINK_ENABLED",
    ]),
    group("Gradle, Maven and Ant", &[
        "ANT_ARGS", "ANT_HOME", "ANT_OPTS", "GRADLE_HOME", "GRADLE_OPTS", "GRADLE_USER_HOME", "M2_HOME", "MAVEN_ARGS",
        "MAVEN_BASEDIR", "MAVEN_CMD_LINE_ARGS", "MAVEN_CONFIG", "MAVEN_HOME", "MAVEN_OPTS", "MAVEN_PROJECTBASEDIR",
        "SBT_OPTS",
    ]),
    group("version managers", &[
        "ASDF_DATA_DIR", "ASDF_DIR", "NVM_DIR", "PERLBREW_ROOT", "PYENV_HOOK_PATH", "PYENV_ROOT", "RBENV_HOOK_PATH",
        "RBENV_ROOT", "VOLTA_HOME",
    ]),
    group("archivers and package managers", &[
        "APT_CONFIG", "NIX_CONFIG", "NIX_CONF_DIR", "NIX_PATH", "NIX_USER_CONF_FILES", "RARINISWITCHES", "RPM_CONFIGDIR",
        "TAPE", "TAR_OPTIONS", "ZIP", "ZIPOPT",
    ]),
    group("TLS libraries and download tools", &[
        "CURL_HOME", "OPENSC_CONF", "OPENSSL_CONF", "OPENSSL_CONF_INCLUDE", "OPENSSL_ENGINES", "OPENSSL_MODULES",
        "PKCS11_MODULE_PATH", "PKCS11_PROVIDER_MODULE", "SYSTEM_WGETRC", "WGETRC",
    ]),
    group("libraries that load modules", &[
        "GDK_PIXBUF_MODULE_FILE", "GIO_EXTRA_MODULES", "GIO_MODULE_DIR", "GI_TYPELIB_PATH", "GST_PLUGIN_*", "GTK3_MODULES",
        "GTK_EXE_PREFIX", "GTK_IM_MODULE_FILE", "GTK_MODULES", "GTK_PATH", "LIBGL_DRIVERS_PATH", "LIBMYSQL_PLUGINS",
        "LIBMYSQL_PLUGIN_DIR", "LIBVA_DRIVERS_PATH", "MAGICK_CODER_MODULE_PATH", "MAGICK_CONFIGURE_PATH", "OCL_ICD_VENDORS",
        "ODBCINSTINI", "ODBCSYSINI", "QML2_IMPORT_PATH", "QML_IMPORT_PATH", "QT_PLUGIN_PATH",
        "QT_QPA_PLATFORM_PLUGIN_PATH", "VDPAU_DRIVER_PATH", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_LAYER_PATH",
    ]),
    group("infrastructure tools", &[
        "ANSIBLE_*_PLUGINS", "ANSIBLE_COLLECTIONS_PATH*", "ANSIBLE_CONFIG", "ANSIBLE_LIBRARY", "ANSIBLE_ROLES_PATH",
        "ANSIBLE_SSH_EXECUTABLE", "DOCKER_CONFIG", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS",
        "KUBECTL_EXTERNAL_DIFF", "SYSTEMD_UNIT_PATH", "TEXINPUTS", "TEXMFCNF", "TEXMFHOME", "TF_CLI_ARGS*",
        "TF_CLI_CONFIG_FILE", "TF_DATA_DIR", "shell_escape",
    ]),
    group("dotenv-run", &[
        "CREDENTIALS_DIRECTORY", "DOTENV_API_KEY", "DOTENV_API_KEY_FILE", "DOTENV_API_URL", "DOTENV_CLIENT_KEY",
        "DOTENV_CLIENT_KEY_FILE", "DOTENV_ORGANIZATION", "DOTENV_RUN_*",
    ]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases = [
            ("LD_PRELOAD", Some("loader and C library")),
            ("LD_", Some("loader and C library")),
            ("LD", None),
            ("XLD_PRELOAD", None),
            ("CARGO_TARGET_X86_64_RUNNER", Some("cargo and rustc")),
            ("CARGO_TARGET_RUNNER", None),
            ("CARGO_TARGET_X_RUNNER_X", None),
            ("GIT_CONFIG_KEY_0", Some("git and other version control")),
            ("CGO_CFLAGS_ALLOW", Some("Go")),
            ("CGO_ENABLED", None),
        ];
        for (name, program) in cases {
            assert_eq!(program_of(name), program, "{name}");
        }
    }

    #[test]
    fn only_what_is_read_in_any_case_is_refused_in_any_case() {
        for name in [
            "npm_config_git",
            "NPM_CONFIG_GIT",
            "Npm_Config_git",
            "YARN_YARN_PATH",
        ] {
            assert_eq!(program_of(name), Some("npm, pnpm and yarn"), "{name}");
        }
        for name in ["path", "Path", "env", "ld_preload", "python_path"] {
            assert_eq!(program_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_stands_in_one_group_and_in_order() {
        let mut all: Vec<_> = GROUPS.iter().flat_map(|group| group.names).collect();
        for group in GROUPS {
            assert!(group.names.is_sorted(), "{}", group.program);
        }
        all.sort_unstable();
        let number = all.len();
        all.dedup();
        assert_eq!(all.len(), number);
    }
}
