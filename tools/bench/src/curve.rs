// SPDX-License-Identifier: GPL-2.0

//! Curves of growth, as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

/// One curve.
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Its points: descriptors, instructions.
    pub points: Vec<(u64, u64)>,
}

/// Draws `curves` into the file `path`, both axes logarithmic.
pub fn draw(path: &Path, title: &str, curves: &[Curve]) -> Result<()> {
    draw_them(path, title, curves)
        .map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn draw_them(path: &Path, title: &str, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let bounds = |of: fn(&(u64, u64)) -> u64| {
        let (low, high) = (points().map(of).min(), points().map(of).max());
        low.zip(high).map(|(low, high)| low / 2..high * 2).ok_or("there is no point")
    };
    let (x, y) = (bounds(|point| point.0)?, bounds(|point| point.1)?);
    let area = SVGBackend::new(path, (720, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(90)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("descriptors in the EFI memory map")
        .y_desc("instructions")
        .draw()?;
    for (at, curve) in curves.iter().enumerate() {
        let style = Palette99::pick(at).stroke_width(2);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_curve_is_in_the_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curves.svg");
        let curve = |name: &str, points: &[_]| Curve { name: name.into(), points: points.into() };
        let curves = [curve("in Rust", &[(16, 100), (64, 400)]), curve("in C", &[(16, 120)])];
        draw(&path, "reserve", &curves).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for text in ["<svg", "in Rust", "in C", "reserve"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert!(draw(&path, "nothing", &[]).is_err());
    }
}
