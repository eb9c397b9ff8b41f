// Light that reaches the pixels of a tile of a room with spheres: one pixel per invocation, SAMPLES_PER_REPEAT paths each
// time. What stands before this line are the constants of the image. Integers only: every device gives these bits.
//
// Numbers are fixed-point with 16 fractional bits where nothing else is said. A path starts at the camera, is mirrored,
// refracted or scattered at what it meets, and at each matte surface asks a random point of the lamp for its light.

// First group of this piece, repeat, groups of the stage, 0.
@group(0) @binding(0) var<uniform> piece: vec4<u32>;
// Per sphere: centre, radius, surface (0 matte, 1 mirror, 2 glass), red, green, blue.
@group(0) @binding(1) var<storage, read> scene: array<i32>;
// The tile and the camera, see `head.rs`.
@group(0) @binding(2) var<storage, read> head: array<u32>;
// Red, green and blue of each pixel of the tile, summed over the paths, 12 fractional bits.
@group(0) @binding(3) var<storage, read_write> sums: array<u32>;

const ONE: i32 = 65536;
// Nothing is nearer than this to where it starts: 0.002.
const NEAR: i32 = 128;
const FAR: i32 = 0x7fffffff;
// Surfaces are left at this distance: 0.001.
const STEP: i32 = 64;
// The room: x, y and z from, to.
const ROOM_LOW: vec3<i32> = vec3<i32>(-131072, 0, -131072);
const ROOM_HIGH: vec3<i32> = vec3<i32>(131072, 196608, 262144);
// The lamp is a square in the ceiling round x = 0, z = 0: half its side, its light, and its area / pi.
const LAMP: i32 = 45875;
const LAMP_LIGHT: vec3<i32> = vec3<i32>(786432, 589824, 393216);
const LAMP_AREA_BY_PI: i32 = 40888;
// What one path may bring at most: 8.
const MOST: i32 = 524288;
// What it may bring where the lamp is met through glass or silver after a matte surface: 1. These rare paths are the
// bright specks of a picture; the cut makes what glass gathers a little darker, and the picture calm.
const MOST_GATHERED: i32 = 65536;
// 1 / 1.5 and its inverse, and the part that glass reflects when looked at straight: 0.04.
const INTO_GLASS: i32 = 43691;
const OUT_OF_GLASS: i32 = 98304;
const STRAIGHT: i32 = 2621;

var<private> random: u32;

// A permutation of the 32-bit words that scatters neighbours (PCG, Jarzynski and Olano 2020).
fn scatter(word: u32) -> u32 {
    let state = word * 747796405u + 2891336453u;
    let mixed = ((state >> (((state >> 28u) + 4u) & 31u)) ^ state) * 277803737u;
    return (mixed >> 22u) ^ mixed;
}

// A number from 0 to 1, without 1.
fn draw() -> i32 {
    random = scatter(random);
    return bitcast<i32>(random >> 16u);
}

// The product, rounded down.
fn mul(a: i32, b: i32) -> i32 {
    let low_a = bitcast<u32>(a) & 0xffffu;
    let low_b = bitcast<u32>(b) & 0xffffu;
    return (a >> 16u) * b + bitcast<i32>(low_a) * (b >> 16u) + bitcast<i32>((low_a * low_b) >> 16u);
}

fn scaled(v: vec3<i32>, by: i32) -> vec3<i32> {
    return vec3<i32>(mul(v.x, by), mul(v.y, by), mul(v.z, by));
}

fn tinted(light: vec3<i32>, by: vec3<i32>) -> vec3<i32> {
    return vec3<i32>(mul(light.x, by.x), mul(light.y, by.y), mul(light.z, by.z));
}

// The inner product.
fn along(a: vec3<i32>, b: vec3<i32>) -> i32 {
    return mul(a.x, b.x) + mul(a.y, b.y) + mul(a.z, b.z);
}

fn inverse(x: i32) -> i32 {
    return bitcast<i32>(0xffffffffu / (bitcast<u32>(x) | 1u));
}

// The square root, rounded down: 24 binary digits, one by one.
fn root(x: i32) -> i32 {
    var left = bitcast<u32>(x);
    var rest = 0u;
    var result = 0u;
    for (var i = 0u; i < 24u; i += 1u) {
        rest = (rest << 2u) | (left >> 30u);
        left = left << 2u;
        let trial = (result << 2u) | 1u;
        result = result << 1u;
        if (rest >= trial) {
            rest = rest - trial;
            result = result | 1u;
        }
    }
    return bitcast<i32>(result);
}

fn normalised(v: vec3<i32>) -> vec3<i32> {
    return scaled(v, inverse(root(along(v, v))));
}

// A direction with the chance of the cosine to the normal: the normal and a random point of the unit sphere
// (Marsaglia 1972) added.
fn scattered(normal: vec3<i32>) -> vec3<i32> {
    var x = 0;
    var y = 0;
    var square = ONE;
    for (var i = 0u; i < 8u; i += 1u) {
        if (square >= ONE) {
            x = 2 * draw() - ONE;
            y = 2 * draw() - ONE;
            square = mul(x, x) + mul(y, y);
        }
    }
    if (square >= ONE) {
        // Eight points outside the circle: once in 200,000 times.
        x = 0;
        y = 0;
        square = 0;
    }
    let wide = 2 * root(ONE - square);
    let sum = normal + vec3<i32>(mul(x, wide), mul(y, wide), ONE - 2 * square);
    let length = root(along(sum, sum));
    if (length < 1024) {
        return normal;
    }
    return scaled(sum, inverse(length));
}

// The distance to a sphere, or FAR.
fn to_sphere(sphere: u32, origin: vec3<i32>, direction: vec3<i32>) -> i32 {
    let at = sphere * 8u;
    let offset = origin - vec3<i32>(scene[at], scene[at + 1u], scene[at + 2u]);
    let radius = scene[at + 3u];
    let b = along(offset, direction);
    let inside = mul(b, b) - along(offset, offset) + mul(radius, radius);
    if (inside <= 0) {
        return FAR;
    }
    let half = root(inside);
    if (-b - half > NEAR) {
        return -b - half;
    }
    return select(FAR, half - b, half - b > NEAR);
}

// The distance to the wall ahead along one axis, or FAR.
fn to_wall(position: i32, direction: i32, low: i32, high: i32) -> i32 {
    let speed = abs(direction);
    if (speed < 64) {
        return FAR;
    }
    let gap = select(position - low, high - position, direction > 0);
    return mul(gap, inverse(speed));
}

// Whether a sphere stands within a distance.
fn is_shadowed(origin: vec3<i32>, direction: vec3<i32>, distance: i32) -> bool {
    var shadowed = false;
    for (var sphere = 0u; sphere < SPHERES; sphere += 1u) {
        if (!shadowed) {
            shadowed = to_sphere(sphere, origin, direction) < distance;
        }
    }
    return shadowed;
}

// The light of the lamp that a matte surface sends on, before its colour.
fn lit(position: vec3<i32>, normal: vec3<i32>) -> vec3<i32> {
    let x = mul(2 * draw() - ONE, LAMP);
    let z = mul(2 * draw() - ONE, LAMP);
    let to = vec3<i32>(x, ROOM_HIGH.y, z) - position;
    let square = along(to, to);
    let distance = root(square);
    if (distance < 4096) {
        return vec3<i32>(0, 0, 0);
    }
    let direction = scaled(to, inverse(distance));
    let here = along(normal, direction);
    // A part of the lamp's light at a close surface is cut off with MOST anyway.
    let share = mul(mul(mul(here, direction.y), LAMP_AREA_BY_PI), inverse(max(square, 4096)));
    if (here <= 0 || share <= 0) {
        return vec3<i32>(0, 0, 0);
    }
    if (is_shadowed(position, direction, distance - NEAR)) {
        return vec3<i32>(0, 0, 0);
    }
    return scaled(LAMP_LIGHT, share);
}

fn colour_of_wall(position: vec3<i32>, normal: vec3<i32>) -> vec3<i32> {
    if (normal.x > 0) {
        return vec3<i32>(53740, 17695, 5898);
    }
    if (normal.x < 0) {
        return vec3<i32>(9175, 22282, 43909);
    }
    if (normal.y > 0) {
        // Tiles of half a unit.
        let odd = ((position.x >> 15u) ^ (position.z >> 15u)) & 1;
        return select(vec3<i32>(49152, 45875, 41288), vec3<i32>(17039, 15073, 13762), odd == 1);
    }
    return vec3<i32>(50462, 47841, 43909);
}

// The part of the light that glass reflects at a cosine (Schlick 1994).
fn reflected_part(cosine: i32) -> i32 {
    let rest = ONE - cosine;
    let square = mul(rest, rest);
    return STRAIGHT + mul(ONE - STRAIGHT, mul(mul(square, square), rest));
}

// The light along one path.
fn path(eye: vec3<i32>, view: vec3<i32>) -> vec3<i32> {
    var origin = eye;
    var direction = view;
    var light = vec3<i32>(0, 0, 0);
    var weight = vec3<i32>(ONE, ONE, ONE);
    // After a matte surface the lamp was asked already; it must not count twice.
    var counts = true;
    var most = MOST;
    for (var bounce = 0u; bounce < BOUNCES; bounce += 1u) {
        let x = to_wall(origin.x, direction.x, ROOM_LOW.x, ROOM_HIGH.x);
        let y = to_wall(origin.y, direction.y, ROOM_LOW.y, ROOM_HIGH.y);
        let z = to_wall(origin.z, direction.z, ROOM_LOW.z, ROOM_HIGH.z);
        var distance = min(x, min(y, z));
        var met = SPHERES;
        for (var sphere = 0u; sphere < SPHERES; sphere += 1u) {
            let to = to_sphere(sphere, origin, direction);
            if (to < distance) {
                distance = to;
                met = sphere;
            }
        }
        let position = origin + scaled(direction, distance);
        var normal = vec3<i32>(0, 0, select(ONE, -ONE, direction.z > 0));
        var colour = vec3<i32>(0, 0, 0);
        var surface = 0;
        if (met < SPHERES) {
            let at = met * 8u;
            let offset = position - vec3<i32>(scene[at], scene[at + 1u], scene[at + 2u]);
            normal = scaled(offset, inverse(scene[at + 3u]));
            surface = scene[at + 4u];
            colour = vec3<i32>(scene[at + 5u], scene[at + 6u], scene[at + 7u]);
        } else {
            if (x <= y && x <= z) {
                normal = vec3<i32>(select(ONE, -ONE, direction.x > 0), 0, 0);
            } else if (y <= z) {
                normal = vec3<i32>(0, select(ONE, -ONE, direction.y > 0), 0);
            }
            if (normal.y < 0 && abs(position.x) < LAMP && abs(position.z) < LAMP) {
                if (counts) {
                    light = light + min(tinted(weight, LAMP_LIGHT), vec3<i32>(most, most, most));
                }
                break;
            }
            colour = colour_of_wall(position, normal);
        }
        let against = along(normal, direction);
        weight = tinted(weight, colour);
        if (surface == 0) {
            origin = position + scaled(normal, STEP);
            light = light + tinted(weight, lit(origin, normal));
            direction = scattered(normal);
            counts = false;
            most = MOST_GATHERED;
        } else {
            counts = true;
            let inward = against < 0;
            let facing = select(normal, -normal, !inward);
            let cosine = abs(against);
            let mirrored = direction + scaled(facing, 2 * cosine);
            let ratio = select(OUT_OF_GLASS, INTO_GLASS, inward);
            let through = ONE - mul(mul(ratio, ratio), ONE - mul(cosine, cosine));
            var back = surface == 1 || through <= 0;
            if (!back) {
                back = draw() < reflected_part(cosine);
            }
            if (back) {
                origin = position + scaled(facing, STEP);
                direction = normalised(mirrored);
            } else {
                origin = position - scaled(facing, STEP);
                let bent = scaled(direction, ratio) + scaled(facing, mul(ratio, cosine) - root(through));
                direction = normalised(bent);
            }
        }
    }
    return light;
}

fn word(at: u32) -> i32 {
    return bitcast<i32>(head[at]);
}

// 12 fractional bits of what a path brought, at most MOST.
fn counted(light: i32) -> u32 {
    return bitcast<u32>(clamp(light, 0, MOST)) >> 4u;
}

@compute @workgroup_size(8, 8)
fn trace(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) lane: vec3<u32>) {
    let block = piece.x + group.x;
    let across = (block % BLOCKS_ACROSS) * 8u + lane.x;
    let down = (block / BLOCKS_ACROSS) * 8u + lane.y;
    let column = head[6] + across;
    let row = head[7] + down;
    let eye = vec3<i32>(word(12u), word(13u), word(14u));
    let right = vec3<i32>(word(15u), word(16u), word(17u));
    let up = vec3<i32>(word(18u), word(19u), word(20u));
    let forward = vec3<i32>(word(21u), word(22u), word(23u));
    let at = (down * TILE_WIDTH + across) * 3u;
    var red = sums[at];
    var green = sums[at + 1u];
    var blue = sums[at + 2u];
    for (var i = 0u; i < SAMPLES_PER_REPEAT; i += 1u) {
        let index = piece.y * SAMPLES_PER_REPEAT + i;
        random = scatter(scatter(scatter(head[11] ^ index) ^ row) ^ column);
        // From -1 at the left and bottom to 1 at the right and top, anywhere within the pixel.
        let x = bitcast<i32>(((column << 17u) + 2u * bitcast<u32>(draw())) / WIDTH) - ONE;
        let y = ONE - bitcast<i32>(((row << 17u) + 2u * bitcast<u32>(draw())) / HEIGHT);
        let light = path(eye, normalised(forward + scaled(right, x) + scaled(up, y)));
        red = red + counted(light.x);
        green = green + counted(light.y);
        blue = blue + counted(light.z);
    }
    sums[at] = red;
    sums[at + 1u] = green;
    sums[at + 2u] = blue;
}
