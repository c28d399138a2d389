//! As much of HTTP/1.1 as the contract needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::service::Service;

const MAX_HEAD: u64 = 64 * 1024;
/// What is over the limit of a body is read up to this, so that the connection can stay.
const MAX_READ: usize = 1024 * 1024;

/// A request that has arrived.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content_type: String,
    /// As announced, bytes.
    pub(crate) length: usize,
    pub(crate) body: Vec<u8>,
    closes: bool,
}

/// What is sent back.
pub(crate) struct Response {
    status: u16,
    body: String,
    pub(crate) allow: Option<&'static str>,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            allow: None,
        }
    }
}

/// Serves one connection to its end.
pub(crate) fn serve(stream: TcpStream, service: &Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some(request) = read(&mut input)? {
        let response = service.answer(&request);
        output.write_all(&wire(&request, &response))?;
        if request.closes {
            break;
        }
    }
    Ok(())
}

/// `None` at the end of the stream, also in the middle of a request.
fn read(input: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut request = Request {
        method: String::new(),
        target: String::new(),
        content_type: String::new(),
        length: 0,
        body: Vec::new(),
        closes: false,
    };
    let mut head = input.by_ref().take(MAX_HEAD);
    let mut first = true;
    loop {
        let mut line = Vec::new();
        if head.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(line);
        if first {
            let mut words = line.split(' ');
            request.method = words.next().unwrap_or_default().to_owned();
            request.target = words.next().unwrap_or_default().to_owned();
            first = false;
        } else if line.is_empty() {
            break;
        } else {
            request.header(&line)?;
        }
    }
    let mut body = vec![0; request.length.min(MAX_READ)];
    if input.read_exact(&mut body).is_err() {
        return Ok(None);
    }
    request.body = body;
    request.closes |= request.length > MAX_READ;
    Ok(Some(request))
}

impl Request {
    fn header(&mut self, line: &str) -> io::Result<()> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-type" => value.clone_into(&mut self.content_type),
            "content-length" => {
                let length = value.parse();
                self.length = length.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            }
            "connection" => self.closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
        Ok(())
    }
}

fn wire(request: &Request, response: &Response) -> Vec<u8> {
    let mut wire = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nDate: {}\r\n",
        response.status,
        reason(response.status),
        response.body.len(),
        date()
    );
    if let Some(allow) = response.allow {
        wire.push_str(&format!("Allow: {allow}\r\n"));
    }
    if request.closes {
        wire.push_str("Connection: close\r\n");
    }
    wire.push_str("\r\n");
    if request.method != "HEAD" {
        wire.push_str(&response.body);
    }
    wire.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        _ => "Bad Request",
    }
}

/// The time as HTTP writes it. It goes from year to year and from month to month: slow, and
/// plain to see right.
fn date() -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    let days = seconds / 86_400;
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (mut left, mut year) = (days, 1970);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = "Dec";
    for (name, length) in MONTHS {
        let length = length + u64::from(name == "Feb" && leap(year));
        if left < length {
            month = name;
            break;
        }
        left -= length;
    }
    format!(
        "{}, {:02} {month} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        left + 1,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}
