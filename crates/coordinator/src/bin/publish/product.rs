//! `publish product`: multiplies two matrices on this machine, or pays a network to do it, and checks the result by algebra.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use coordinator::files::FileError;
use coordinator::publishing;
use jobs::product::{self, Blocks, Matrices, Options, Shape};
use protocol::id::{Hash, PublisherId};

use crate::Trouble;
use crate::order::{Order, say_ready};

pub(super) const ABOUT: &str = "\
Multiply two matrices of signed bytes and check the product by algebra.

The entries follow from a seed. The product is cut into 64 blocks or a multiple of that; each block is a slice of work.
The whole product is checked with a random vector modulo 2^61 - 1 (Freivalds 1977): a wrong one passes with a chance of
2^-61, and the check costs a small part of the multiplication. With --local both are timed on this machine.";

pub(super) const EXAMPLES: &str = "\
Examples:
  Multiply two matrices of 1024 by 1024 here, and compare the times of multiplying and checking:
    publish product --local
  Have a larger one multiplied, keep the product (i32, little endian, row by row):
    publish product --rows 4096 --inner 4096 --columns 4096 --block 512 --out product.i32 \\
      --to http://127.0.0.1:7300 --profile network.profile --key publisher.key --budget 12.5 --wait";

#[derive(Debug, Args)]
pub(super) struct ProductArguments {
    /// Rows of the left matrix.
    #[arg(long, default_value_t = 1024)]
    rows: u32,
    /// Columns of the left matrix and rows of the right one: a multiple of 64, up to 65536.
    #[arg(long, default_value_t = 1024)]
    inner: u32,
    /// Columns of the right matrix.
    #[arg(long, default_value_t = 1024)]
    columns: u32,
    /// Rows and columns of a block: a multiple of 16, up to 1024.
    #[arg(long, default_value_t = Options::default().block_rows)]
    block: u32,
    /// The matrices follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the product; never overwritten. Without it, only the check tells.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    order: Order,
}

/// Largest matrix in bytes: what the two of them and the product need fits a small machine.
const MAX_MATRIX_BYTES: u64 = 256 * 1024 * 1024;

/// Multiplies here or there.
pub(super) fn multiply(arguments: &ProductArguments) -> Result<(), Trouble> {
    let order = &arguments.order;
    if let Some(path) = arguments.out.as_ref().filter(|path| order.has_results() && path.exists()) {
        return Err(FileError::Exists(path.clone()).into());
    }
    let (rows, inner, columns) = (arguments.rows, arguments.inner, arguments.columns);
    for (height, width, each) in [(rows, inner, 1), (columns, inner, 1), (rows, columns, 4)] {
        if u64::from(height) * u64::from(width) > MAX_MATRIX_BYTES / each {
            return Err(Trouble::Large { height, width });
        }
    }
    let matrices = Matrices::from_seed(rows, inner, columns, arguments.seed);
    let mut options = Options {
        block_rows: arguments.block,
        block_columns: arguments.block,
        order_seed: order.order_seed()?,
        ..Options::default()
    };
    order.name(&mut options.title, &mut options.purpose);
    let mut package = product::package(&matrices, &options)?;

    let started = Instant::now();
    let (job, blocks) = if order.local {
        let spawn = order.spawn()?;
        // Nobody signs a job that stays here.
        let mut blocks = Blocks::new(&package.manifest(PublisherId([0; 32]), Hash([0; 32])))?;
        publishing::compute_here(&package, &spawn, say_ready, |unit, slice, output| {
            blocks.add(unit, slice, output)?;
            let (done, total) = blocks.progress();
            eprintln!("{done} of {total} blocks");
            Ok::<_, product::BlocksError>(())
        })?;
        (serde_json::json!({}), blocks)
    } else {
        let Some(paid) = order.pay(&mut package)? else { return Ok(()) };
        let mut blocks = Blocks::new(paid.signed.manifest.message())?;
        paid.results(|unit, slice, output| blocks.add(unit, slice, output))?;
        (serde_json::to_value(&paid.progress)?, blocks)
    };
    let computed = started.elapsed();

    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|_| Trouble::Random)?;
    let started = Instant::now();
    let (left, right) = (&matrices.left, &matrices.right_transposed);
    let holds = product::holds(left, right, blocks.cells(), rows, inner, columns, product::ROUNDS, &secret);
    let checked = started.elapsed();
    if !holds {
        return Err(Trouble::WrongProduct);
    }
    if let Some(path) = &arguments.out {
        write_new(path, blocks.cells())?;
    }
    let multiplied = order.local.then(|| time_here(&matrices));
    if order.json {
        let seconds = |span: Duration| span.as_secs_f64();
        let figures = serde_json::json!({
            "job": job,
            "holds": holds,
            "computed_s": seconds(computed),
            "checked_s": seconds(checked),
            "multiplied_here_s": multiplied.map(seconds),
        });
        println!("{figures}");
        return Ok(());
    }
    println!("the product is right: {rows} by {columns} sums of {inner} terms");
    println!("computed in {:.3} s, worker and transfers included", computed.as_secs_f64());
    println!("checked in {:.4} s", checked.as_secs_f64());
    if let Some(multiplied) = multiplied {
        let ratio = multiplied.as_secs_f64() / checked.as_secs_f64().max(1e-9);
        println!(
            "multiplying on this processor takes {:.3} s, {ratio:.0} times as long",
            multiplied.as_secs_f64()
        );
    }
    Ok(())
}

fn write_new(path: &std::path::Path, bytes: &[u8]) -> Result<(), Trouble> {
    use std::io::Write as _;
    let trouble = |source| Trouble::Save { path: path.to_path_buf(), source };
    std::fs::File::create_new(path).and_then(|mut file| file.write_all(bytes)).map_err(trouble)
}

/// How long one core of this processor takes for the whole product.
fn time_here(matrices: &Matrices) -> Duration {
    let whole = Shape { rows: matrices.rows, inner: matrices.inner, columns: matrices.columns };
    let started = Instant::now();
    std::hint::black_box(product::reference(&whole, &matrices.left, &matrices.right_transposed));
    started.elapsed()
}
