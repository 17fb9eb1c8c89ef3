//! The program `nengtan`; everything is in the library.

fn main() -> std::process::ExitCode {
    nengtan::cli::main()
}
