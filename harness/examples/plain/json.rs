//! A reader of JSON (RFC 8259), as far as an order needs its values.

/// A value; of arrays, and of what is not needed of a value, nothing is kept.
pub(crate) enum Json {
    /// null, true, false or an array
    Other,
    /// As it was written.
    Number(String),
    String(String),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The last member of that name, where it is an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Json> {
        let Self::Object(members) = self else {
            return None;
        };
        let mut named = members.iter().filter(|(found, _)| found == name);
        named.next_back().map(|(_, value)| value)
    }
}

/// `None` where the text as a whole is not JSON.
pub(crate) fn parse(text: &str) -> Option<Json> {
    let mut reader = Reader(text);
    let value = reader.value()?;
    reader.0.is_empty().then_some(value)
}

/// What is left to be read.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Goes on past that text, where it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A value with the white space around it.
    fn value(&mut self) -> Option<Json> {
        self.space();
        let value = match self.0.bytes().next()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let words = ["null", "true", "false"];
                let known = words.iter().any(|word| self.takes(word));
                known.then_some(Json::Other)
            }
        };
        self.space();
        value
    }

    fn object(&mut self) -> Option<Json> {
        let mut members = Vec::new();
        self.takes("{");
        self.space();
        if self.takes("}") {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            if !self.takes(":") {
                return None;
            }
            members.push((name, self.value()?));
            if self.takes("}") {
                return Some(Json::Object(members));
            }
            if !self.takes(",") {
                return None;
            }
        }
    }

    fn array(&mut self) -> Option<Json> {
        self.takes("[");
        self.space();
        if self.takes("]") {
            return Some(Json::Other);
        }
        loop {
            self.value()?;
            if self.takes("]") {
                return Some(Json::Other);
            }
            if !self.takes(",") {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        if !self.takes("\"") {
            return None;
        }
        loop {
            let mut chars = self.0.chars();
            let char = chars.next()?;
            self.0 = chars.as_str();
            match char {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                '\0'..='\x1f' => return None,
                _ => text.push(char),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let mut chars = self.0.chars();
        let char = chars.next()?;
        self.0 = chars.as_str();
        Some(match char {
            '"' | '\\' | '/' => char,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode()?,
            _ => return None,
        })
    }

    /// Half of a pair of surrogates stands for nothing.
    fn unicode(&mut self) -> Option<char> {
        let first = self.unit()?;
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) && self.takes("\\u") {
            units.push(self.unit()?);
        }
        let mut chars = char::decode_utf16(units);
        Some(chars.next()?.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.0.get(..4)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.0 = &self.0[4..];
        hexadecimal.then(|| u16::from_str_radix(digits, 16).ok())?
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.0;
        self.takes("-");
        if !self.takes("0") {
            self.digits()?;
        }
        if self.takes(".") {
            self.digits()?;
        }
        if self.takes("e") || self.takes("E") {
            let _ = self.takes("+") || self.takes("-");
            self.digits()?;
        }
        let text = &start[..start.len() - self.0.len()];
        Some(Json::Number(text.to_owned()))
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let rest = self
            .0
            .trim_start_matches(|char: char| char.is_ascii_digit());
        let any = rest.len() < self.0.len();
        self.0 = rest;
        any.then_some(())
    }
}
