//! A small HTTP/1.1 client that costs the machine little: one blocking connection kept open, one
//! write for a request, an answer read through one buffer.
//!
//! It is the load of every subject, so it knows nothing of any of them. Not for anything else: no
//! redirects, no proxies, no TLS. Its own limit is measured in each run, against a request for which
//! mlrs does nothing.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::os::linux::net::TcpStreamExt as _;
use std::time::Duration;

/// Bytes of the buffer that answers are read through; a head must fit.
const BUFFER: usize = 256 << 10;
/// The most header fields of an answer.
const FIELDS: usize = 64;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// One connection, made when it is first needed and again after an error.
pub struct Client {
    host: String,
    stream: Option<TcpStream>,
    /// The request before it is sent.
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// What of the buffer is read and not yet used.
    start: usize,
    end: usize,
    body: Vec<u8>,
    at_once: bool,
}

/// The head of an answer.
struct Head {
    status: u16,
    framing: Framing,
    /// Whether the server ends the connection after this answer.
    close: bool,
}

/// How the end of a body is found.
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What takes the parts of a body.
type Sink<'s> = dyn FnMut(&[u8]) + 's;

impl Client {
    /// A client for the server at `http://host:port`.
    pub fn new(address: &str) -> Self {
        Self {
            host: address.trim_start_matches("http://").to_owned(),
            stream: None,
            request: Vec::new(),
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            body: Vec::new(),
            at_once: false,
        }
    }

    /// Lets the kernel acknowledge what arrives at once, instead of waiting for more. A server that
    /// sends an answer in two parts may wait for that, 40 ms on Linux.
    pub fn acknowledge_at_once(mut self, at_once: bool) -> Self {
        self.at_once = at_once;
        self
    }

    /// Sends a request, with a JSON body unless that is empty, and reads the answer. Its status; the
    /// body is in [`Client::body`].
    pub fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<u16> {
        let mut answer = std::mem::take(&mut self.body);
        answer.clear();
        let status = self.exchange(method, path, body, &mut |part| {
            answer.extend_from_slice(part);
        });
        self.body = answer;
        status
    }

    /// The body of the last answer to [`Client::send`].
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Sends so many bytes, `pattern` again and again, and reads the answer. Its status.
    pub fn upload(&mut self, path: &str, length: u64, pattern: &[u8]) -> Result<u16> {
        self.once(|client| {
            client.compose("PUT", path, "application/octet-stream", length)?;
            client.flush()?;
            let mut left = length;
            while left > 0 {
                let part = usize::try_from(left).unwrap_or(usize::MAX);
                let part = part.min(pattern.len());
                client.stream()?.write_all(&pattern[..part])?;
                left -= part as u64;
            }
            client.answer(&mut |_| {})
        })
    }

    /// Asks for a resource, whose parts go to `sink`. The status.
    pub fn download(&mut self, path: &str, sink: &mut Sink) -> Result<u16> {
        self.exchange("GET", path, &[], sink)
    }

    fn exchange(&mut self, method: &str, path: &str, body: &[u8], sink: &mut Sink) -> Result<u16> {
        self.once(|client| {
            client.compose(method, path, "application/json", body.len() as u64)?;
            client.request.extend_from_slice(body);
            client.flush()?;
            client.answer(sink)
        })
    }

    /// One request and its answer; after an error the connection is of no use.
    fn once(&mut self, exchange: impl FnOnce(&mut Self) -> Result<u16>) -> Result<u16> {
        let result = exchange(self);
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    fn compose(&mut self, method: &str, path: &str, kind: &str, length: u64) -> Result<()> {
        self.request.clear();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n",
            self.host
        )?;
        if length > 0 {
            write!(
                self.request,
                "Content-Type: {kind}\r\nContent-Length: {length}\r\n"
            )?;
        }
        self.request.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.host)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            (self.start, self.end) = (0, 0);
            self.stream = Some(stream);
        }
        let request = std::mem::take(&mut self.request);
        let sent = self.stream()?.write_all(&request);
        self.request = request;
        sent
    }

    fn stream(&mut self) -> Result<&mut TcpStream> {
        self.stream
            .as_mut()
            .ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn answer(&mut self, sink: &mut Sink) -> Result<u16> {
        let head = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            self.fill()?;
        };
        match head.framing {
            Framing::Length(length) => self.part(length, sink)?,
            Framing::Chunked => self.chunks(sink)?,
            Framing::UntilClose => while self.part(1, sink).is_ok() {},
        }
        if head.close {
            self.stream = None;
        }
        Ok(head.status)
    }

    /// The head of an answer when all of it is in the buffer.
    fn head(&mut self) -> Result<Option<Head>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let read = answer.parse(&self.buffer[self.start..self.end]);
        let httparse::Status::Complete(length) = read.map_err(invalid)? else {
            return Ok(None);
        };
        let mut head = Head {
            status: answer.code.unwrap_or_default(),
            framing: Framing::UntilClose,
            close: false,
        };
        for field in answer.headers.iter() {
            let value = std::str::from_utf8(field.value).map_err(invalid)?;
            if field.name.eq_ignore_ascii_case("content-length") {
                head.framing = Framing::Length(value.trim().parse().map_err(invalid)?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                head.framing = Framing::Chunked;
            } else if field.name.eq_ignore_ascii_case("connection") {
                head.close = value.eq_ignore_ascii_case("close");
            }
        }
        head.close |= matches!(head.framing, Framing::UntilClose);
        self.start += length;
        Ok(Some(head))
    }

    /// Reads more into the buffer.
    fn fill(&mut self) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let stream = self.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        if self.at_once {
            // It holds for a while only.
            stream.set_quickack(true)?;
        }
        let read = stream.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.end += read;
        Ok(())
    }

    /// Hands on so many bytes.
    fn part(&mut self, mut length: u64, sink: &mut Sink) -> Result<()> {
        while length > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let part = usize::try_from(length).unwrap_or(usize::MAX);
            let part = part.min(self.end - self.start);
            sink(&self.buffer[self.start..self.start + part]);
            self.start += part;
            length -= part as u64;
        }
        Ok(())
    }

    /// Hands on the chunks of a body.
    fn chunks(&mut self, sink: &mut Sink) -> Result<()> {
        loop {
            let chunk = loop {
                let read = httparse::parse_chunk_size(&self.buffer[self.start..self.end]);
                match read.map_err(|_| ErrorKind::InvalidData)? {
                    httparse::Status::Complete((length, size)) => {
                        self.start += length;
                        break size;
                    }
                    httparse::Status::Partial => self.fill()?,
                }
            };
            self.part(chunk, sink)?;
            // The end of its line; after the last one, that of the trailers, of which none come.
            self.part(2, &mut |_| {})?;
            if chunk == 0 {
                return Ok(());
            }
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// A server that reads one head and a body of `body` bytes for each answer, and sends those
    /// byte by byte, on one connection for each list.
    fn server(connections: Vec<Vec<&'static str>>, body: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answers in connections {
                let stream = listener.accept().unwrap().0;
                let mut reader = BufReader::new(stream);
                for answer in answers {
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        reader.read_line(&mut line).unwrap();
                    }
                    reader.read_exact(&mut vec![0; body]).unwrap();
                    for byte in answer.as_bytes() {
                        reader.get_mut().write_all(&[*byte]).unwrap();
                    }
                }
            }
        });
        address
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        let address = server(
            vec![vec![
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
                "HTTP/1.1 200 OK\r\n\r\nghi",
            ]],
            0,
        );
        let mut client = Client::new(&address);
        for (status, body) in [(200, "abc"), (404, "def"), (200, "ghi")] {
            assert_eq!(client.send("GET", "/", &[]).unwrap(), status);
            assert_eq!(client.body(), body.as_bytes());
        }
    }

    #[test]
    fn a_connection_that_the_server_ends_is_made_again() {
        let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na";
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab";
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc";
        let mut client = Client::new(&server(vec![vec![close], vec![short], vec![whole]], 0));
        assert_eq!(client.send("GET", "/", &[]).unwrap(), 200);
        let error = client.send("GET", "/", &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(client.send("GET", "/", &[]).unwrap(), 200);
        assert_eq!(client.body(), b"c");
    }

    #[test]
    fn an_upload_repeats_its_pattern() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let mut client = Client::new(&server(vec![vec![answer]], 1000));
        assert_eq!(client.upload("/file", 1000, &[7; 300]).unwrap(), 200);
    }
}
