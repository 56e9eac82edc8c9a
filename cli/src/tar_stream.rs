//! A tar that is made while it is read, so that an import of any size takes no room.

use std::io::{self, Read};

const BLOCK: u64 = 512;
/// The two blocks of zeros that end a tar.
const END: u64 = 2 * BLOCK;

/// What comes next.
pub(crate) enum Next {
    File(TarFile),
    /// No file is ready yet: something without meaning is sent, so that the reader sees that there is somebody.
    Pause,
}

/// A file to be packed.
pub(crate) struct TarFile {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) content: Box<dyn Read + Send>,
}

/// A tar of the files that an iterator gives.
pub(crate) struct TarStream<I> {
    files: I,
    current: Option<Packing>,
    /// Zeros that are still to come at its end.
    end: u64,
}

impl<I> TarStream<I> {
    pub(crate) fn new(files: I) -> Self {
        Self { files, current: None, end: END }
    }
}

/// A file on its way.
struct Packing {
    name: String,
    header: io::Cursor<Vec<u8>>,
    content: Box<dyn Read + Send>,
    left: u64,
    padding: io::Take<io::Repeat>,
}

impl Packing {
    fn begin(file: TarFile) -> io::Result<Self> {
        let TarFile { name, size, content } = file;
        let mut header = tar::Header::new_gnu();
        // A name that is too long is none of the package's: the server takes it from the control file.
        header.set_path(&name).or_else(|_| header.set_path("package.deb"))?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        let header = io::Cursor::new(header.as_bytes().to_vec());
        let padding = io::repeat(0).take(size.next_multiple_of(BLOCK) - size);
        Ok(Self { name, header, content, left: size, padding })
    }

    /// An entry that whoever unpacks the tar passes over.
    fn nothing() -> io::Result<Self> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_path("./")?;
        header.set_size(0);
        header.set_mode(0o755);
        header.set_cksum();
        let header = io::Cursor::new(header.as_bytes().to_vec());
        Ok(Self {
            name: String::new(),
            header,
            content: Box::new(io::empty()),
            left: 0,
            padding: io::repeat(0).take(0),
        })
    }

    /// No bytes: it is at its end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.header.read(buffer)?;
        if got > 0 {
            return Ok(got);
        }
        if self.left == 0 {
            return self.padding.read(buffer);
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.content.read(&mut buffer[..want])?;
        if got == 0 {
            return Err(io::Error::other("it became shorter while it was sent"));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

impl<I: Iterator<Item = io::Result<Next>>> Read for TarStream<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(packing) = &mut self.current {
                let got = packing.read(buffer);
                let of_file = |cause| io::Error::other(format!("could not read {}: {cause}", packing.name));
                let got = got.map_err(of_file)?;
                if got > 0 {
                    return Ok(got);
                }
                self.current = None;
            }
            self.current = Some(match self.files.next().transpose()? {
                Some(Next::File(file)) => Packing::begin(file)?,
                Some(Next::Pause) => Packing::nothing()?,
                None => {
                    let got = io::repeat(0).take(self.end).read(buffer)?;
                    self.end -= got as u64;
                    return Ok(got);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_a_tar_of_the_files() {
        let expected: Vec<(String, Vec<u8>)> =
            [0usize, 1, 511, 512, 513, 70_000].map(|size| (format!("{size:06}.deb"), vec![b'x'; size])).into();
        let files = expected.iter().flat_map(|(name, content)| {
            let (size, content) = (content.len() as u64, Box::new(io::Cursor::new(content.clone())));
            [Ok(Next::Pause), Ok(Next::File(TarFile { name: name.clone(), size, content }))]
        });
        let mut tar = Vec::new();
        TarStream::new(files).read_to_end(&mut tar).unwrap();
        assert!(tar.ends_with(&[0; 1024]) && tar.len() % 512 == 0);
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries = archive.entries().unwrap().map(Result::unwrap);
        let entries = entries.filter(|entry| entry.header().entry_type().is_file()).map(|mut entry| {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), content)
        });
        assert!(entries.collect::<Vec<_>>() == expected);
    }

    #[test]
    fn a_file_that_became_shorter_is_named() {
        let file = TarFile { name: "short.deb".into(), size: 9, content: Box::new(io::Cursor::new(vec![b'x'; 8])) };
        let error = TarStream::new([Ok(Next::File(file))].into_iter()).read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("short.deb"), "{error}");
    }
}
