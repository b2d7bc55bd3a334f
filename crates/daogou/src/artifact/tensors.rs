//! Named f32 tensors in the safetensors format.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};

use crate::{Error, Result};

/// A tensor in memory, rows first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Values; their number is the product of `shape`.
    pub data: Vec<f32>,
}

/// A borrowed tensor with its name.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    /// Name, as a PyTorch user expects it: `user_embed.weight`.
    pub name: Cow<'a, str>,
    /// Sizes.
    pub shape: Cow<'a, [usize]>,
    /// Values.
    pub data: &'a [f32],
}

impl<'a> TensorView<'a> {
    /// A view; the number of values must be the product of `shape`.
    pub fn new(
        name: impl Into<Cow<'a, str>>,
        shape: impl Into<Cow<'a, [usize]>>,
        data: &'a [f32],
    ) -> Self {
        Self { name: name.into(), shape: shape.into(), data }
    }
}

/// Writes tensors, sorted by name: the same tensors give the same bytes, whatever their order. Values keep their bits.
///
/// `note` becomes the header's one metadata entry, `(key, text)`.
pub fn write_tensors<'a>(
    out: &mut dyn Write,
    tensors: impl IntoIterator<Item = TensorView<'a>>,
    note: Option<(&str, String)>,
) -> Result<()> {
    let mut tensors: Vec<TensorView<'a>> = tensors.into_iter().collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut entries = Vec::with_capacity(tensors.len());
    let mut offset = 0;
    for (index, tensor) in tensors.iter().enumerate() {
        let name = &tensor.name;
        if index > 0 && *name == tensors[index - 1].name {
            return Err(Error::data(format!("two tensors are named `{name}`")));
        }
        if tensor.shape.iter().product::<usize>() != tensor.data.len() {
            let (shape, n) = (&tensor.shape, tensor.data.len());
            return Err(Error::data(format!(
                "tensor `{name}`: shape {shape:?} does not hold {n} values"
            )));
        }
        let end = offset + size_of_val(tensor.data);
        let shape = tensor.shape.to_vec();
        entries.push((
            name.to_string(),
            TensorInfo { dtype: Dtype::F32, shape, data_offsets: (offset, end) },
        ));
        offset = end;
    }
    let note = note.map(|(key, text)| HashMap::from([(key.to_string(), text)]));
    let header = Metadata::new(note, entries)
        .map_err(|error| Error::data(format!("these tensors cannot be saved: {error}")))?;
    let mut header = serde_json::to_vec(&header).expect("a header is plain data");
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut bytes = Vec::with_capacity(1 << 16);
    for chunk in tensors.iter().flat_map(|tensor| tensor.data.chunks(1 << 14)) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Tensors of a file, taken out one by one under the shape the model expects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors {
    source: std::path::PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// Reads a file of f32 tensors.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self::read_with_note(path, None)?.0)
    }

    /// Reads a file and the header's metadata entry `key`.
    pub(super) fn read_with_note(path: &Path, key: Option<&str>) -> Result<(Self, Option<String>)> {
        let bytes = fs_err::read(path)?;
        let foreign = |error: safetensors::SafeTensorError| {
            Error::file(path, format!("damaged, or no safetensors file: {error}"))
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(foreign)?;
        let note = key.and_then(|key| header.metadata().as_ref()?.get(key).cloned());
        let file = SafeTensors::deserialize(&bytes).map_err(foreign)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(Error::file(
                    path,
                    format!("tensor `{name}`: expected F32, got {:?}", view.dtype()),
                ));
            }
            let (values, _) = view.data().as_chunks::<4>();
            let data = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
            tensors.insert(name.to_string(), Tensor { shape: view.shape().to_vec(), data });
        }
        Ok((Self { source: path.into(), tensors }, note))
    }

    /// Takes a tensor out; it must have this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.tensors.remove(name).ok_or_else(|| {
            Error::file(
                &self.source,
                format!("expected a tensor `{name}` of shape {shape:?}, got none"),
            )
        })?;
        if tensor.shape != shape {
            return Err(Error::file(
                &self.source,
                format!("tensor `{name}`: expected {shape:?}, got {:?}", tensor.shape),
            )
            .with_hint(
                "the configuration or the vocabulary is not the one this model was trained with",
            ));
        }
        Ok(tensor.data)
    }

    /// Refuses tensors nobody took.
    pub fn finish(self) -> Result<()> {
        match self.tensors.first_key_value() {
            None => Ok(()),
            Some((name, tensor)) => Err(Error::file(
                &self.source,
                format!(
                    "tensor `{name}` of shape {:?} does not belong to this model",
                    tensor.shape
                ),
            )),
        }
    }

    /// What is left, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// What is left, by name.
    pub fn into_map(self) -> BTreeMap<String, Tensor> {
        self.tensors
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let views = tensors.iter().map(|(name, shape, data)| {
            TensorView::new(name.as_str(), shape.as_slice(), data.as_slice())
        });
        write_tensors(&mut out, views, None)?;
        Ok(out)
    }

    fn read(bytes: &[u8]) -> Result<Tensors> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Tensors::read(file.path())
    }

    #[test]
    fn shapes_are_checked_when_tensors_are_taken() {
        let file = bytes(&[("b".into(), vec![2, 3], vec![1.0; 6]), ("a".into(), vec![0], vec![])]);
        let mut tensors = read(&file.unwrap()).unwrap();
        let error = tensors.clone().take("b", &[3, 2]).unwrap_err().to_string();
        assert!(error.contains("tensor `b`: expected [3, 2], got [2, 3]"), "{error}");
        let error = tensors.take("c", &[1]).unwrap_err().to_string();
        assert!(error.contains("expected a tensor `c` of shape [1], got none"), "{error}");
        assert_eq!(tensors.take("b", &[2, 3]).unwrap(), [1.0; 6]);
        let error = tensors.clone().finish().unwrap_err().to_string();
        assert!(error.contains("tensor `a`"), "{error}");
        tensors.take("a", &[0]).unwrap();
        tensors.finish().unwrap();
    }

    #[test]
    fn what_cannot_be_saved_or_read_is_said() {
        let twice = ("a".to_string(), vec![1], vec![1.0]);
        assert!(bytes(&[twice.clone(), twice]).unwrap_err().to_string().contains("two tensors"));
        let error = bytes(&[("a".into(), vec![2], vec![1.0])]).unwrap_err().to_string();
        assert!(error.contains("[2] does not hold 1 values"), "{error}");
        assert!(
            read(b"PK\x03\x04 a zip file").unwrap_err().to_string().contains("no safetensors file")
        );
        let view = safetensors::tensor::TensorView::new(Dtype::F16, vec![1], &[0, 0]).unwrap();
        let half = safetensors::serialize([("a", view)], None).unwrap();
        assert!(read(&half).unwrap_err().to_string().contains("expected F32, got F16"));
    }

    proptest! {
        /// The same bytes as the crate's own writer, in whatever order tensors come.
        #[test]
        fn bytes_are_those_of_the_reference_writer(
            sizes in prop::collection::btree_map("[a-z._0-9]{1,12}", (0usize..5, 0usize..5), 0..8),
            seed: u64,
        ) {
            let mut rng = daogou_nn::rng::Rng::new(seed, 0);
            let mut tensors: Vec<_> = sizes
                .into_iter()
                .map(|(name, (rows, columns))| {
                    let data = (0..rows * columns).map(|_| rng.normal() as f32).collect::<Vec<_>>();
                    (name, vec![rows, columns], data)
                })
                .collect();
            let raw: Vec<Vec<u8>> = tensors
                .iter()
                .map(|(_, _, data)| data.iter().flat_map(|value| value.to_le_bytes()).collect())
                .collect();
            let views: Vec<_> = tensors
                .iter()
                .zip(&raw)
                .map(|((name, shape, _), raw)| {
                    (name.clone(), safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), raw).unwrap())
                })
                .collect();
            let expected = safetensors::serialize(views, None).unwrap();
            prop_assert_eq!(&bytes(&tensors).unwrap(), &expected);
            rng.shuffle(&mut tensors);
            prop_assert_eq!(&bytes(&tensors).unwrap(), &expected);
            let back = read(&expected).unwrap();
            for (name, shape, data) in tensors {
                prop_assert_eq!(&back.tensors[&name], &Tensor { shape, data });
            }
        }
    }
}
