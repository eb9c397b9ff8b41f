//! `publish render`: draws a picture on this machine, or pays a network to draw it.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use coordinator::files::FileError;
use coordinator::publishing;
use jobs::rendering::{self, Mosaic, Options, View};
use protocol::id::{Hash, PublisherId};

use crate::Trouble;
use crate::order::{Order, say_ready};

pub(super) const ABOUT: &str = "\
Draw a picture of a room of glass, silver and clay.

Light is followed along random paths through the room, in whole numbers, so that every device draws the same picture bit for
bit and a home's tile can be checked against another's. The picture is cut into tiles; 64 tiles are one unit of work. It
is saved as a PNG file, which is never written over an existing one.";

pub(super) const EXAMPLES: &str = "\
Examples:
  Draw on this machine, about 20 seconds on two processor cores:
    publish render --local --width 256 --height 256 --samples 16 --out room.png
  Have a large and quiet picture drawn for at most 12.5 tokens, and wait for it:
    publish render --width 1024 --height 768 --samples 1024 --view floor --out floor.png \\
      --to http://127.0.0.1:7300 --profile network.profile --key publisher.key --budget 12.5 --wait";

/// Where the room is seen from.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    /// From the open side, the whole room.
    Room,
    /// From the floor, close to the small spheres.
    Floor,
    /// From under the ceiling, downwards.
    Above,
}

#[derive(Debug, Args)]
pub(super) struct RenderArguments {
    /// The picture to write; never overwritten.
    #[arg(long, default_value = "picture.png")]
    out: PathBuf,
    /// Pixels across: a multiple of 64, up to 4096.
    #[arg(long, default_value_t = Options::default().width)]
    width: u32,
    /// Pixels down: a multiple of 64, up to 4096.
    #[arg(long, default_value_t = Options::default().height)]
    height: u32,
    /// Paths of light per pixel: a multiple of 4, up to 16384. Four times as many halve the noise.
    #[arg(long, default_value_t = Options::default().samples)]
    samples: u32,
    /// Where the room is seen from.
    #[arg(long, value_enum, default_value_t = From::Room)]
    view: From,
    /// Which spheres stand where; another number is another room.
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u32,
    #[command(flatten)]
    order: Order,
}

/// Draws here or there.
pub(super) fn render(arguments: &RenderArguments) -> Result<(), Trouble> {
    let order = &arguments.order;
    let path = &arguments.out;
    // Better said before the work than after it.
    if order.has_results() && path.exists() {
        return Err(FileError::Exists(path.clone()).into());
    }
    let mut options = Options {
        width: arguments.width,
        height: arguments.height,
        samples: arguments.samples,
        view: match arguments.view {
            From::Room => View::Room,
            From::Floor => View::Floor,
            From::Above => View::Above,
        },
        seed: arguments.seed,
        order_seed: order.order_seed()?,
        ..Options::default()
    };
    order.name(&mut options.title, &mut options.purpose);
    eprintln!("computing the known answers");
    let mut package = rendering::package(&options)?;

    let started = Instant::now();
    let job = if order.local {
        let spawn = order.spawn()?;
        // Nobody signs a job that stays here.
        let manifest = package.manifest(PublisherId([0; 32]), Hash([0; 32]));
        let mut mosaic = Mosaic::new(&manifest)?;
        publishing::compute_here(&package, &spawn, say_ready, |unit, slice, output| {
            mosaic.add(unit, slice, output)?;
            let (done, total) = mosaic.progress();
            eprintln!("{done} of {total} tiles");
            Ok::<_, rendering::MosaicError>(())
        })?;
        save(path, &mosaic)?;
        serde_json::json!({})
    } else {
        let Some(paid) = order.pay(&mut package)? else { return Ok(()) };
        let mut mosaic = Mosaic::new(paid.signed.manifest.message())?;
        paid.results(|unit, slice, output| mosaic.add(unit, slice, output))?;
        save(path, &mosaic)?;
        serde_json::to_value(&paid.progress)?
    };
    eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
    if order.json {
        println!("{}", serde_json::json!({ "job": job, "picture": path }));
    } else {
        println!("{}", path.display());
    }
    Ok(())
}

fn save(path: &Path, mosaic: &Mosaic<'_>) -> Result<(), Trouble> {
    let trouble = |source| Trouble::Picture { path: path.to_path_buf(), source };
    let (width, height, rgba) = mosaic.image();
    let file = File::create_new(path).map_err(|error| trouble(error.into()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(trouble)?;
    writer.write_image_data(rgba).map_err(trouble)?;
    writer.finish().map_err(trouble)
}
